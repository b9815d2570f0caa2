"""History: figures and log lines over time. Adding never waits; a thread of its own writes to the disk."""

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
_MOST_CONTAINERS = 256  # the containers without new samples for the longest go first
_PACE_SECONDS = 1.0  # so that the lines of sixty followers are written together
_PRUNE_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Rings:
    """Keeps the latest memory samples of each container; for any thread."""

    def __init__(self) -> None:
        self._rings: OrderedDict[str, deque[MemorySample]] = OrderedDict()
        self._lock = threading.Lock()

    def add_round(self, at: datetime, samples: Sequence[Sample]) -> None:
        """Add the memory of these containers."""
        with self._lock:
            for sample in samples:
                ring = self._rings.setdefault(sample.container_id, deque(maxlen=DEPTH))
                ring.append(MemorySample(at, sample.working_set_bytes, sample.usage_bytes))
                self._rings.move_to_end(sample.container_id)
                if len(self._rings) > _MOST_CONTAINERS:
                    self._rings.popitem(last=False)

    def recent(self, container_id: str, before: datetime, most: int) -> tuple[MemorySample, ...]:
        """Return the container's last samples up to that moment, oldest first, at most `most`."""
        with self._lock:
            samples = [sample for sample in self._rings.get(container_id, ()) if sample.at <= before]
        return tuple(samples[-most:])


class History(HistoryReader):
    """Takes figures and lines from any thread, keeps them, and reads them.

    A thread of its own writes. If a write fails now (no space), the thread tries again after pauses of 1 to 30 s. A
    damaged file is replaced. Data that can never be written is logged and dropped.

    Args:
        folder: where the ledger is.
        clock: the time of day.
        retention: how long and how much is kept.
        monotonic: a clock in seconds that never jumps.
        most_waiting_bytes: how much memory the waiting data may take; data beyond it is dropped and counted.

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
        self.trouble = ""  # the reason why nothing can be written now
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
        """Return how much was dropped because it came faster than it could be written."""
        return self._pending.dropped()

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def close(self) -> None:
        """Write the waiting data, if that is possible at once, and close the file."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._writer.close()
        super().close()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything added so far is written; return False if that took too long."""
        with self._progress:
            self._asked += 1
            wanted = self._asked
            self._hurry.set()
            self._wake.set()
            return self._progress.wait_for(lambda: self._answered >= wanted, timeout_seconds)

    def add_round(self, at: datetime, rows: Sequence[Sample]) -> None:
        """Add the figures of one round."""
        if rows:
            self._rings.add_round(at, rows)
            self._pending.add_round(RoundSamples(millis(at), rows))
            self._wake.set()

    def add_run_point(self, point: RunPoint) -> None:
        """Add the run's figures of one round."""
        self._pending.add_run_point(point)
        self._wake.set()

    def add_health(self, minutes: Sequence[HealthMinute]) -> None:
        """Add minutes of health checks."""
        self._pending.add_health(minutes)
        self._wake.set()

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor] | None = None) -> None:
        """Add log lines, and how far these logs have been read; both are written together."""
        self._pending.add_lines(lines, cursors or {})
        self._wake.set()

    def cursors(self) -> dict[str, LogCursor]:
        """Return how far each container's log had been read when this History was opened, by full id."""
        return dict(self._cursors)

    def recent(self, container_id: str, before: datetime, most: int = 50) -> tuple[MemorySample, ...]:
        """Return a container's last memory samples up to a moment, from memory and if necessary from the disk.

        It reads the disk only for containers that an earlier monitor has recorded. Never raises.
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
        """Write all waiting data, and retry while that may help. Data that comes meanwhile waits, within a limit."""
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
        """Run the action; return False if another try may help."""
        try:
            action(self._writer)
        except (sqlite3.OperationalError, LedgerError) as error:
            return self._failed(error)
        except sqlite3.DatabaseError as error:
            if self._writer.notice_damage(error):
                return self._failed(error)
            _log.exception("history cannot store this data")
        except Exception:  # noqa: BLE001 the top of a thread
            _log.exception("history cannot store this data")
        self.trouble = ""
        return True

    def _failed(self, error: Exception) -> bool:
        if not self.trouble:
            _log.warning("history cannot be written: %s", error)
        self.trouble = f"history cannot be written: {error}"
        return False
