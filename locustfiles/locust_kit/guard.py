"""The border between the plugin and a run: what fails inside is one warning, and the run goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import gevent
from locust.rpc.protocol import Message

from .texts import safe

logger = logging.getLogger("locust_kit")

_LONGEST_REASON = 300


class Warned:
    """Says the first failure of one part of the plugin, and no other."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._is_said = False

    def __call__(self, error: Exception) -> None:
        """Hear of a failure."""
        if not self._is_said:
            self._is_said = True
            reason = " ".join(safe(error, _LONGEST_REASON).split())
            logger.warning("locust-kit: %s failed, the run goes on: %s: %s", self._part, type(error).__name__, reason)


def guarded(listener: Callable[..., None]) -> Callable[..., None]:
    """The listener, whose first failure is logged: an exception in an init handler would end Locust."""
    warned = Warned(getattr(listener, "__name__", "a listener"))

    @functools.wraps(listener)
    def called(*args: Any, **passed: Any) -> None:
        try:
            listener(*args, **passed)
        except Exception as error:  # noqa: BLE001  the top of the plugin: whatever it is, the run goes on
            warned(error)

    return called


def keep_doing(step: Callable[[], None], seconds: float) -> None:
    """Take a step every so many seconds, as long as the process lives; one that fails ends none of those to come."""
    step = guarded(step)

    def steps() -> None:
        while True:
            gevent.sleep(seconds)
            step()

    gevent.spawn(steps)


class Parts:
    """The parts of a worker's report. One that Locust could not send would take the worker's statistics with it."""

    def __init__(self) -> None:
        self._warned: dict[str, Warned] = {}

    def sendable(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Those that Locust can send."""
        return {name: part for name, part in parts.items() if self._can_be_sent(name, part)}

    def _can_be_sent(self, name: str, part: Any) -> bool:
        try:
            Message("stats", part, "").serialize()
        except Exception as error:  # noqa: BLE001  whatever Locust would raise, and more
            self._warned.setdefault(name, Warned(f"the report of {name}"))(error)
            return False
        return True
