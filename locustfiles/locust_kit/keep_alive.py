"""Keep Locust's own loops running: start a loop again if an exception ended it."""

from __future__ import annotations

import logging

import gevent
from locust.env import Environment
from locust.runners import Runner, locust_exception_handler

from locust_kit.guard import keep_doing
from locust_kit.texts import safe

logger = logging.getLogger("locust_kit")

_LONGEST_REASON = 200


def keep_alive(environment: Environment, runner: Runner, *names: str) -> None:
    """Check the runner's loops of these names once a second. Do not restart a loop that was stopped on purpose."""
    loops = {name: found for name in names if (found := _running(runner, name)) is not None}
    if missing := [name for name in names if name not in loops]:
        logger.warning("locust-kit: cannot restart these loops, because this Locust has none of them: %s", missing)

    def look() -> None:
        for name, loop in loops.items():
            if loop.dead and loop.exception is not None:
                error = safe(repr(loop.exception), _LONGEST_REASON)
                logger.warning("locust-kit: Locust's loop %s ended with %s; starting it again", name, error)
                loops[name] = runner.greenlet.spawn(getattr(runner, name))
                loops[name].link_exception(locust_exception_handler(environment))

    keep_doing(look, 1)


def _running(runner: Runner, name: str) -> gevent.Greenlet | None:
    method = getattr(runner, name, None)
    return next((loop for loop in getattr(runner, "greenlet", ()) if getattr(loop, "_run", None) == method), None)
