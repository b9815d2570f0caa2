"""What a source has put, and waiting for what it will."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sidecar.model.signal import Signal

S = TypeVar("S")

_PATIENCE_SECONDS = 20.0


class Heard:
    """Takes signals from a source's threads, in order."""

    def __init__(self) -> None:
        self._signals: list[Signal] = []
        self._changed = threading.Condition()

    def put(self, signal: Signal) -> None:
        with self._changed:
            self._signals.append(signal)
            self._changed.notify_all()

    def of(self, kind: type[S]) -> list[S]:
        with self._changed:
            return self._of(kind)

    def wait_for(self, kind: type[S], number: int = 1) -> list[S]:
        """Wait until there are that many signals of a kind; returns all of them."""
        with self._changed:
            come = self._changed.wait_for(lambda: len(self._of(kind)) >= number, _PATIENCE_SECONDS)
            found = self._of(kind)
        assert come, f"only {len(found)} {kind.__name__} came: {found}"
        return found

    def _of(self, kind: type[S]) -> list[S]:
        return [signal for signal in self._signals if isinstance(signal, kind)]


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
