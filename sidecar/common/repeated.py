"""A thread that does one thing again and again, and survives what goes wrong in it."""

from __future__ import annotations

import logging
import threading
import time

from sidecar.common.backoff import Backoff

_log = logging.getLogger(__name__)


class Repeated:
    """Makes one `turn` after the other in a thread of its own, until it is stopped.

    What a turn raises is logged; the next one then comes later and later, as long as that goes on.
    """

    def __init__(self, name: str, first_in_seconds: float = 0.0) -> None:
        self._first_in_seconds = first_in_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, patience_seconds: float | None = 0.0) -> None:
        """End, and wait so long for the turn that is under way; None: as long as it takes."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(patience_seconds)

    def turn(self) -> float:
        """Do it once; return in how many seconds the next turn is due."""
        raise NotImplementedError

    def _run(self) -> None:
        backoff, pause = Backoff(), self._first_in_seconds
        while not self._stopping.wait(pause):
            try:
                pause = self.turn()
                backoff = backoff.succeeded()
            except Exception:  # noqa: BLE001  the top of a thread: it goes on
                _log.exception("%s: a turn failed", self._thread.name)
                now = time.monotonic()
                backoff = backoff.failed(now)
                pause = backoff.next_try_seconds - now
