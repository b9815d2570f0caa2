"""Whether the master's port can be reached from this node: what a worker here needs, tried by somebody who can tell."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime

from sidecar.model.cluster import Reach

EVERY_SECONDS = 10.0
_TIMEOUT_SECONDS = 3.0


def reach(host: str, port: int, clock: Callable[[], datetime]) -> Reach:
    """Open one connection, and close it."""
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS):
            return Reach(clock(), took_ms=1000 * (time.monotonic() - began))
    except socket.gaierror:
        return Reach(clock(), error=f"no such name: {host}")
    except TimeoutError:
        return Reach(clock(), error=f"no answer within {_TIMEOUT_SECONDS:.0f} s")
    except OSError as error:
        return Reach(clock(), error=error.strerror or type(error).__name__)


class Prober:
    """Tries each ten seconds, in a thread of its own."""

    def __init__(self, attempt: Callable[[], Reach]) -> None:
        self._attempt = attempt
        self._known: Reach | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reach", daemon=True)

    def start(self) -> None:
        """Begin to try."""
        self._thread.start()

    def stop(self) -> None:
        """End; an attempt that is under way is not waited for."""
        self._stopping.set()

    def known(self) -> Reach | None:
        """Return the last attempt; None before the first. Any thread."""
        return self._known

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._known = self._attempt()
            self._stopping.wait(EVERY_SECONDS)
