"""The thread that writes history: what waits, once a second at most, and retention each minute."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from sidecar.common.backoff import Backoff
from sidecar.common.errors import LedgerError
from sidecar.ledger.history_writer import HistoryWriter, Pending

_log = logging.getLogger(__name__)

_PACE_SECONDS = 1.0  # sixty followers' lines go together
_PRUNE_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


class HistoryThread:
    """Moves what waits in `pending` to the file.

    What cannot be written now (no space) is tried again, with pauses of 1 to 30 s; a file that turns out to be damaged
    is replaced; what can never be written is logged and left. The thread survives all of it.

    Args:
        writer: the open file, which the thread closes at its end.
        pending: what is to be written.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(
        self,
        writer: HistoryWriter,
        pending: Pending,
        monotonic: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._pending = pending
        self._monotonic = monotonic
        self.trouble = ""
        self._progress = threading.Condition()
        self._asked = self._answered = 0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something waits."""
        self._wake.set()

    def close(self) -> None:
        """Write what waits, if that can be done at once, and end."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._writer.close()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that waits now is written; False when that took too long."""
        with self._progress:
            self._asked += 1
            wanted = self._asked
            self._hurry.set()
            self._wake.set()
            return self._progress.wait_for(lambda: self._answered >= wanted, timeout_seconds)

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
