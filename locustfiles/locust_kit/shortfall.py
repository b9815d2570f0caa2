"""Keeping a run's users while workers come and go.

When a worker quits, Locust hands its users to the others; when several quit at once, it forgets all but the first, and
the run goes on with fewer users than were asked for. The master's part of the plugin notices and asks for them again,
once a loss. Users that end themselves (StopUser) are not asked for again: Locust's answer to an order is to make all
that are not there, so one that is given for a worker that left would have them begin anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from locust.runners import STATE_RUNNING, MasterRunner

from locust_kit.guard import keep_doing

logger = logging.getLogger("locust_kit")

PATIENCE_SECONDS = 3.0
"""How long users may be short before it is a loss: Locust's hand-over and a worker's report take up to this long."""


@dataclass(frozen=True, slots=True)
class Load:
    """The master's state at one moment. A missing worker is not among `workers`: it may still come back.

    `finished` are users that ended themselves, and were not replaced since.
    """

    running: bool
    users: int
    target_users: int
    workers: int
    missing_workers: int
    finished: int = 0


class Shortfall:
    """A detector of users that are short for good because a worker left."""

    def __init__(self) -> None:
        self._workers = 0
        self._left = False
        self._since: float | None = None

    def begin(self) -> None:
        """Forget the losses so far: a run begins, with the workers that there are."""
        self._workers, self._left, self._since = 0, False, None

    def lasting(self, load: Load, now: float) -> bool:
        """Return True once per loss that lasted PATIENCE_SECONDS; `now` is a clock in seconds that never jumps."""
        self._left = (self._left or load.workers < self._workers) and load.users + load.finished < load.target_users
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


def keep_users(runner: MasterRunner, finished: Callable[[], int]) -> Shortfall:
    """Look once a second, while the master lives, and ask for lost users again; `finished` counts those of `Load`."""
    shortfall = Shortfall()

    def look_for_users() -> None:
        load = Load(
            running=runner.state == STATE_RUNNING,
            users=runner.user_count,
            target_users=runner.target_user_count or 0,
            workers=runner.worker_count,
            missing_workers=len(runner.clients.missing),
            finished=finished(),
        )
        if shortfall.lasting(load, time.monotonic()):
            line = "locust-kit: %d of %d users run after workers left; starting the others again"
            logger.info(line, load.users, load.target_users)
            runner.start(load.target_users, runner.spawn_rate)

    keep_doing(look_for_users, 1)
    return shortfall
