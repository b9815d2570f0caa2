"""Keep failures of the plugin away from the run: each part logs one warning, and the run goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, cast

import gevent
from locust import log
from locust.env import Environment
from locust.event import EventHook
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from locust_kit.texts import safe

logger = logging.getLogger("locust_kit")

_LONGEST_REASON = 300


class WarnOnce:
    """Logs the first failure of one part of the plugin; it does not log later ones."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._is_logged = False

    def __call__(self, error: Exception) -> None:
        """Log a failure if it is the first one."""
        if not self._is_logged:
            self._is_logged = True
            reason = " ".join(safe(error, _LONGEST_REASON).split())
            logger.warning("locust-kit: %s failed, the run goes on: %s: %s", self._part, type(error).__name__, reason)


def guarded(listener: Callable[..., None]) -> Callable[..., None]:
    """Wrap a listener so that its exceptions do not leave it: one from an init handler would end Locust."""
    warn = WarnOnce(getattr(listener, "__name__", "a listener"))

    @functools.wraps(listener)
    def called(*args: Any, **passed: Any) -> None:
        try:
            listener(*args, **passed)
        except Exception as error:  # noqa: BLE001  the top of the plugin: whatever it is, the run goes on
            warn(error)

    return called


class _Listeners(list[Callable[..., None]]):
    """The listeners to an event. The plugin's listeners stay first, whatever order the test asks for."""

    front = 0

    def insert(self, place: Any, listener: Callable[..., None]) -> None:
        place = place if place >= 0 else max(0, len(self) + place)
        super().insert(max(place, self.front), listener)


def listen_first(event: EventHook, listener: Callable[..., None]) -> None:
    """Add a listener before all others: a listener of the test may end the event (RescheduleTask, StopUser)."""
    listeners: Any = event._handlers  # noqa: SLF001  Locust adds at the end only
    if not isinstance(listeners, _Listeners):
        listeners = event._handlers = _Listeners(listeners)  # noqa: SLF001  as above
    list.insert(listeners, 0, listener)
    listeners.front += 1


def listen_behind(event: EventHook, qualname: str, listener: Callable[..., None]) -> None:
    """Add a listener right after the function of this qualified name; at the end if there is no such function."""
    place = position_of(event, qualname)
    event._handlers.insert(len(event._handlers) if place is None else place + 1, listener)  # noqa: SLF001  as above


def reach_all(*events: EventHook) -> None:
    """Call each listener to these events, whatever another listener raises.

    In Locust, StopUser and similar exceptions end an event and the greenlet that fired it. Then a worker no longer
    listens or reports, or a run never ends. These exceptions only make sense in `request` and `user_error`.
    """
    for event in events:
        cast("Any", event).fire = functools.partial(_fire, event)


def _fire(event: EventHook, *, reverse: bool = False, **passed: Any) -> None:
    for listener in event._handlers[:: -1 if reverse else 1]:  # noqa: SLF001  as above
        try:
            listener(**passed)
        except Exception:
            logging.exception("Uncaught exception in event handler")  # noqa: LOG015  as Locust says it, and where
            log.unhandled_greenlet_exception = True


def follow_resets(environment: Environment, step: Callable[[], None]) -> None:
    """Call `step` each time the statistics of this process are reset within a run, whoever resets them."""
    stats: Any = environment.stats
    step = guarded(step)

    def after(reset: Callable[[], None], *, always: bool) -> Callable[[], None]:
        def both() -> None:
            reset()
            if always or getattr(environment.runner, "state", "") in (STATE_SPAWNING, STATE_RUNNING):
                step()

        return both

    stats.reset_all = after(stats.reset_all, always=True)
    stats.clear_all = after(stats.clear_all, always=False)  # Locust's own call happens before a run


def position_of(event: EventHook, qualname: str) -> int | None:
    """Return the index of the function of this qualified name among an event's listeners; None if it is missing."""
    names = [getattr(listener, "__qualname__", "") for listener in event._handlers]  # noqa: SLF001  not public
    return names.index(qualname) if qualname in names else None


def keep_doing(step: Callable[[], None], seconds: float) -> None:
    """Call `step` every so many seconds while the process runs. A failed call does not stop later ones."""
    step = guarded(step)

    def steps() -> None:
        while True:
            gevent.sleep(seconds)
            step()

    gevent.spawn(steps)
