"""A thread that repeats one task, and survives its errors."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod

from sidecar.common.backoff import Backoff

_log = logging.getLogger(__name__)


class Repeated(ABC):
    """Runs one `turn` after another in a thread of its own, until it is stopped.

    An exception of a turn is logged. While turns fail, the pauses between them get longer.
    """

    def __init__(self, name: str, first_in_seconds: float = 0.0) -> None:
        self._first_in_seconds = first_in_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, and return at once."""
        self._thread.start()

    def stop(self, patience_seconds: float | None = 0.0) -> None:
        """Stop, and wait that long for the current turn; None: without a limit."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(patience_seconds)

    @abstractmethod
    def turn(self) -> float:
        """Run the task once; return the seconds until the next turn."""

    def _run(self) -> None:
        backoff, pause = Backoff(), self._first_in_seconds
        while not self._stopping.wait(pause):
            try:
                pause = self.turn()
                backoff = backoff.succeeded()
            except Exception:  # noqa: BLE001  the top of a thread: it continues
                _log.exception("%s: a turn failed", self._thread.name)
                now = time.monotonic()
                backoff = backoff.failed(now)
                pause = backoff.next_try_seconds - now
