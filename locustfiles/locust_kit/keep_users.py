"""A run keeps its users while workers come and go.

When a worker quits, Locust hands its users to the others; when several quit at once, it forgets all but the first, and
the run goes on with fewer users than were asked for. The master's part of the plugin notices and asks for them again,
once a loss: users that end themselves (StopUser) are none.
"""

from __future__ import annotations

from dataclasses import dataclass

PATIENCE_SECONDS = 3.0
"""How long users may be short before it is a loss: Locust's hand-over and a worker's report take up to this long."""


@dataclass(frozen=True)
class Load:
    """The master's state at one moment. A missing worker is none of `workers`: it may still come back."""

    running: bool
    users: int
    target_users: int
    workers: int
    missing_workers: int


class Shortfall:
    """Tells when users are short for good because a worker left."""

    def __init__(self) -> None:
        self._workers = 0
        self._left = False
        self._since: float | None = None

    def lasting(self, load: Load, now: float) -> bool:
        """True once per loss that lasted PATIENCE_SECONDS; `now` is a clock in seconds that never jumps."""
        self._left = (self._left or load.workers < self._workers) and load.users < load.target_users
        self._workers = load.workers
        if not (self._left and load.running and not load.missing_workers):
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < PATIENCE_SECONDS:
            return False
        self._left, self._since = False, None
        return True
