"""History: figures and log lines over time. Taking them never waits; a thread of its own writes them down."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sidecar.common.errors import LedgerError
from sidecar.common.times import from_nanos, millis
from sidecar.ledger.history_reader import HistoryReader, shortened
from sidecar.ledger.history_thread import HistoryThread
from sidecar.ledger.history_writer import MOST_BYTES, Dropped, HistoryWriter, Pending, RoundSamples
from sidecar.ledger.schema import Retention
from sidecar.model.history import HealthMinute, LogCursor, Recent, RunPoint, Sample, StoredLine
from sidecar.model.incident import MemorySample
from sidecar.model.observation import LogEntry

DEPTH = 60
_MOST_CONTAINERS = 256  # the longest untouched go first
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ring:
    samples: deque[MemorySample] = field(default_factory=lambda: deque(maxlen=DEPTH))
    lines: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=DEPTH))


class Rings:
    """Remembers the latest of each container; for any thread."""

    def __init__(self) -> None:
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._lock = threading.Lock()

    def add_round(self, at: datetime, samples: Sequence[Sample]) -> None:
        """Remember the memory of these containers."""
        with self._lock:
            for sample in samples:
                memory = MemorySample(at, sample.working_set_bytes, sample.usage_bytes)
                self._ring(sample.container_id).samples.append(memory)

    def add_lines(self, lines: Sequence[StoredLine]) -> None:
        """Remember these lines."""
        with self._lock:
            for line in lines:
                self._ring(line.container_id).lines.append(LogEntry(from_nanos(line.ns), shortened(line.text)))

    def recent(self, container_id: str, before: datetime, most: int) -> Recent:
        """Return the last of this container up to that moment, at most so many of each."""
        with self._lock:
            ring = self._rings.get(container_id)
            if ring is None:
                return Recent()
            samples = [sample for sample in ring.samples if sample.at <= before]
            lines = [line for line in ring.lines if line.at is None or line.at <= before]
        return Recent(tuple(samples[-most:]), tuple(lines[-most:]))

    def _ring(self, container_id: str) -> _Ring:
        ring = self._rings.get(container_id)
        if ring is None:
            ring = self._rings[container_id] = _Ring()
            if len(self._rings) > _MOST_CONTAINERS:
                self._rings.popitem(last=False)
        else:
            self._rings.move_to_end(container_id)
        return ring


class History(HistoryReader):
    """Takes figures and lines from any thread and keeps them, and is the reader of what is kept.

    Args:
        folder: where the ledger is.
        clock: the time of day.
        retention: how long and how much is kept.
        monotonic: a clock in seconds that never jumps.
        most_waiting_bytes: how much memory may wait to be written; beyond it, it is dropped and counted.

    Raises:
        LedgerError: the file cannot be opened.

    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], datetime],
        retention: Retention | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        most_waiting_bytes: int = MOST_BYTES,
    ) -> None:
        kept = retention or Retention()
        self._writer = HistoryWriter(folder, clock, kept)
        self._earlier, self._cursors = self._writer.earlier()
        self._pending = Pending(most_waiting_bytes)
        self._thread = HistoryThread(self._writer, self._pending, monotonic)
        super().__init__(folder)
        self._rings = Rings()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one sentence for each file that was moved aside."""
        return self._writer.notes

    @property
    def trouble(self) -> str:
        """Return why nothing can be written now, or ""."""
        return self._thread.trouble

    @property
    def dropped(self) -> Dropped:
        """Return how much was never written because it came faster than it could be."""
        return self._pending.dropped()

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, if that can be done at once, and let go of the file."""
        self._thread.close()
        super().close()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was added so far is written; False when that took too long."""
        return self._thread.flush(timeout_seconds)

    def add_round(self, at: datetime, rows: Sequence[Sample]) -> None:
        """Take the figures of one round."""
        if rows:
            self._rings.add_round(at, rows)
            self._pending.add_round(RoundSamples(millis(at), rows))
            self._thread.wake()

    def add_run_point(self, point: RunPoint) -> None:
        """Take the run's figures of one round."""
        self._pending.add_run_point(point)
        self._thread.wake()

    def add_health(self, minutes: Sequence[HealthMinute]) -> None:
        """Take minutes of asking whether things answer."""
        self._pending.add_health(minutes)
        self._thread.wake()

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor] | None = None) -> None:
        """Take lines of logs, and how far these logs have been read with them; both are written together."""
        self._rings.add_lines(lines)
        self._pending.add_lines(lines, cursors or {})
        self._thread.wake()

    def cursors(self) -> dict[str, LogCursor]:
        """Return how far each container's log had been read when this History was opened, by full id."""
        return dict(self._cursors)

    def recent(self, container_id: str, before: datetime, most: int = 50) -> Recent:
        """Return the last figures and lines of a container up to a moment: from memory, and from the disk as needed.

        Only a container that an earlier sidecar has written of is looked for on the disk. Never raises.
        """
        recent = self._rings.recent(container_id, before, most)
        enough = min(most, DEPTH)
        if container_id not in self._earlier or (len(recent.samples) >= enough and len(recent.lines) >= enough):
            return recent
        try:
            kept = super().recent(container_id, before, most)
        except LedgerError as error:
            _log.warning("%s", error.line())
            return recent
        return _joined(kept, recent, most)


def _joined(kept: Recent, recent: Recent, most: int) -> Recent:
    """Put what is only on the disk before what is in memory."""
    first = min((sample.at for sample in recent.samples), default=None)
    samples = [sample for sample in kept.samples if first is None or sample.at < first]
    first_line = min((line.at for line in recent.lines if line.at), default=None)
    lines = [line for line in kept.lines if first_line is None or line.at is None or line.at < first_line]
    return Recent((*samples, *recent.samples)[-most:], (*lines, *recent.lines)[-most:])
