"""Keep the number of users of a run while workers come and go.

If a worker quits, Locust moves its users to the others. If several workers quit at once, Locust moves only the users of
the first one, and the run goes on with too few users. The plugin on the master notices this and starts the missing
users again, once for each loss.

It does not start users again that ended themselves (StopUser). An order to Locust starts all missing users, so an order
after such a loss would also start these users again.
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
"""How long users may be missing before it is a loss: Locust's own move and a worker's report take up to this long."""


@dataclass(frozen=True, slots=True)
class Load:
    """The master's state at one moment. A missing worker is not among `workers`: it may still come back.

    `finished` counts users that ended themselves and were not replaced.
    """

    running: bool
    users: int
    target_users: int
    workers: int
    missing_workers: int
    finished: int = 0


class Shortfall:
    """Detects users that stay missing because a worker left."""

    def __init__(self) -> None:
        self._workers = 0
        self._left = False
        self._since: float | None = None

    def begin(self) -> None:
        """Forget the losses so far: a run begins with the current workers."""
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
    """Check once a second while the master runs, and start lost users again; `finished` is that of `Load`."""
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
