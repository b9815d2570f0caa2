"""The border between the plugin and a run: what fails inside is one warning, and the run goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import gevent
from locust.event import EventHook

from locust_kit.texts import safe

logger = logging.getLogger("locust_kit")

_LONGEST_REASON = 300


class WarnOnce:
    """A warning of the first failure of one part of the plugin; later ones are silent."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._is_logged = False

    def __call__(self, error: Exception) -> None:
        """Log a failure, if it is the first."""
        if not self._is_logged:
            self._is_logged = True
            reason = " ".join(safe(error, _LONGEST_REASON).split())
            logger.warning("locust-kit: %s failed, the run goes on: %s: %s", self._part, type(error).__name__, reason)


def guarded(listener: Callable[..., None]) -> Callable[..., None]:
    """Wrap a listener so that its first exception is logged: one from an init handler would end Locust."""
    warn = WarnOnce(getattr(listener, "__name__", "a listener"))

    @functools.wraps(listener)
    def called(*args: Any, **passed: Any) -> None:
        try:
            listener(*args, **passed)
        except Exception as error:  # noqa: BLE001  the top of the plugin: whatever it is, the run goes on
            warn(error)

    return called


def listen_first(event: EventHook, listener: Callable[..., None]) -> None:
    """Add a listener before all others: one of the test's own may end the event (RescheduleTask, StopUser)."""
    event._handlers.insert(0, listener)  # noqa: SLF001  Locust adds at the end only


def position_of(event: EventHook, qualname: str) -> int | None:
    """Return where among an event's listeners the function of this qualified name stands; None where it is not."""
    names = [getattr(listener, "__qualname__", "") for listener in event._handlers]  # noqa: SLF001  not public
    return names.index(qualname) if qualname in names else None


def keep_doing(step: Callable[[], None], seconds: float) -> None:
    """Take a step every so many seconds while the process lives. A step that fails does not end the later ones."""
    step = guarded(step)

    def steps() -> None:
        while True:
            gevent.sleep(seconds)
            step()

    gevent.spawn(steps)
