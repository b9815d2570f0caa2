"""A clock for tests."""

from __future__ import annotations

from sidecar.stack.registered import Clock


class FakeTime:
    """Moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
