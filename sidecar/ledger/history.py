"""History: figures and log lines over time. Taking them never waits; a thread of its own writes them down."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sidecar.common.backoff import Backoff
from sidecar.common.errors import LedgerError
from sidecar.common.times import millis
from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.history_writer import MOST_BYTES, Dropped, HistoryWriter, Pending, RoundSamples
from sidecar.ledger.schema import Retention
from sidecar.model.history import HealthMinute, LogCursor, RunPoint, Sample, StoredLine
from sidecar.model.incident import MemorySample

DEPTH = 60
_MOST_CONTAINERS = 256  # the longest untouched go first
_PACE_SECONDS = 1.0  # sixty followers' lines go together
_PRUNE_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Rings:
    """Remembers the latest memory samples of each container; for any thread."""

    def __init__(self) -> None:
        self._rings: OrderedDict[str, deque[MemorySample]] = OrderedDict()
        self._lock = threading.Lock()

    def add_round(self, at: datetime, samples: Sequence[Sample]) -> None:
        """Remember the memory of these containers."""
        with self._lock:
            for sample in samples:
                ring = self._rings.setdefault(sample.container_id, deque(maxlen=DEPTH))
                ring.append(MemorySample(at, sample.working_set_bytes, sample.usage_bytes))
                self._rings.move_to_end(sample.container_id)
                if len(self._rings) > _MOST_CONTAINERS:
                    self._rings.popitem(last=False)

    def recent(self, container_id: str, before: datetime, most: int) -> tuple[MemorySample, ...]:
        """Return the last of this container up to that moment, oldest first, at most so many."""
        with self._lock:
            samples = [sample for sample in self._rings.get(container_id, ()) if sample.at <= before]
        return tuple(samples[-most:])


class History(HistoryReader):
    """Takes figures and lines from any thread and keeps them, and is the reader of what is kept.

    A thread of its own writes them. What cannot be written now (no space) is tried again, with pauses of 1 to 30 s; a
    file that turns out to be damaged is replaced; what can never be written is logged and left.

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
        super().__init__(folder)
        self._rings = Rings()
        self.trouble = ""  # why nothing can be written now
        self._monotonic = monotonic
        self._progress = threading.Condition()
        self._asked = self._answered = 0
        self._stopping, self._wake, self._hurry = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one sentence for each file that was moved aside."""
        return self._writer.notes

    @property
    def dropped(self) -> Dropped:
        """Return how much was never written because it came faster than it could be."""
        return self._pending.dropped()

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, if that can be done at once, and let go of the file."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._writer.close()
        super().close()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was added so far is written; False when that took too long."""
        with self._progress:
            self._asked += 1
            wanted = self._asked
            self._hurry.set()
            self._wake.set()
            return self._progress.wait_for(lambda: self._answered >= wanted, timeout_seconds)

    def add_round(self, at: datetime, rows: Sequence[Sample]) -> None:
        """Take the figures of one round."""
        if rows:
            self._rings.add_round(at, rows)
            self._pending.add_round(RoundSamples(millis(at), rows))
            self._wake.set()

    def add_run_point(self, point: RunPoint) -> None:
        """Take the run's figures of one round."""
        self._pending.add_run_point(point)
        self._wake.set()

    def add_health(self, minutes: Sequence[HealthMinute]) -> None:
        """Take minutes of asking whether things answer."""
        self._pending.add_health(minutes)
        self._wake.set()

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor] | None = None) -> None:
        """Take lines of logs, and how far these logs have been read with them; both are written together."""
        self._pending.add_lines(lines, cursors or {})
        self._wake.set()

    def cursors(self) -> dict[str, LogCursor]:
        """Return how far each container's log had been read when this History was opened, by full id."""
        return dict(self._cursors)

    def recent(self, container_id: str, before: datetime, most: int = 50) -> tuple[MemorySample, ...]:
        """Return a container's last memory samples up to a moment: from memory, and from the disk as needed.

        Only a container that an earlier monitor has written of is looked for on the disk. Never raises.
        """
        recent = self._rings.recent(container_id, before, most)
        if container_id not in self._earlier or len(recent) >= min(most, DEPTH):
            return recent
        try:
            kept = super().recent(container_id, before, most)
        except LedgerError as error:
            _log.warning("%s", error.line())
            return recent
        return (*(sample for sample in kept if not recent or sample.at < recent[0].at), *recent)[-most:]

    def _run(self) -> None:
        prune_at = self._monotonic()
        while not self._stopping.is_set():
            self._wake.wait(_PRUNE_SECONDS)
            self._wake.clear()
            self._step()
            if self._monotonic() >= prune_at:
                prune_at = self._monotonic() + _PRUNE_SECONDS
                self._attempt(HistoryWriter.prune)
            self._hurry.wait(_PACE_SECONDS)
            self._hurry.clear()
        self._step()

    def _step(self) -> None:
        """Write all that waits, trying again as long as that may help; what comes meanwhile waits, bounded."""
        with self._progress:
            asked = self._asked
        work = self._pending.take()
        backoff = Backoff()
        while work and not self._attempt(lambda writer: writer.write(work)):
            backoff = backoff.failed(0.0)
            if self._stopping.wait(backoff.next_try_seconds):
                return
        with self._progress:
            self._answered = asked
            self._progress.notify_all()

    def _attempt(self, action: Callable[[HistoryWriter], None]) -> bool:
        """Do it; False when trying again may help."""
        try:
            action(self._writer)
        except (sqlite3.OperationalError, LedgerError) as error:
            return self._failed(error)
        except sqlite3.DatabaseError as error:
            if self._writer.notice_damage(error):
                return self._failed(error)
            _log.exception("history cannot keep this")
        except Exception:  # noqa: BLE001 the top of a thread
            _log.exception("history cannot keep this")
        self.trouble = ""
        return True

    def _failed(self, error: Exception) -> bool:
        if not self.trouble:
            _log.warning("history cannot be written: %s", error)
        self.trouble = f"history cannot be written: {error}"
        return False
