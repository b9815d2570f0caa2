"""What a run that is stopping waits for: users that say goodbye, and listeners that clean up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sidecar.common.console import Console
from sidecar.common.units import plural
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError
from sidecar.stack.registered import Clock

LONGEST_SECONDS = 600.0  # of a goodbye: listeners of test_stop may take long
_EACH_SECONDS = 1.0


def waits_for(status: Mapping[str, Any] | None) -> str:
    """Say what the run waits for, in one line; "" when none is stopping, or nobody knows."""
    seconds = (status or {}).get("stopping_seconds")
    if status is None or seconds is None:
        return ""
    meter = (status.get("meters") or {}).get("stopping") or {}
    saying_goodbye, busy = (int(meter.get(part) or 0) for part in ("users_in_on_stop", "users_in_tasks"))
    users = [
        *([f"{plural(saying_goodbye, 'user')} in on_stop"] if saying_goodbye else ()),
        *([f"{plural(busy, 'user')} in tasks"] if busy else ()),
    ]
    listeners = meter.get("waits_for") or status.get("waits_for") or "the last figures"
    what = ", ".join(users) or (str(listeners) if meter else "users to stop")
    return f"{what}, {float(seconds):.0f} s"


def wait(web: LocustApi, console: Console, clock: Clock) -> None:
    """Wait while the last run is still stopping, and say once what for; what is the matter then, the caller finds."""

    def what() -> str:
        try:
            status = web.status() or {}
        except MasterError:
            return ""
        returning = int(status.get("workers_to_return") or 0)
        left = waits_for(status) or (f"{plural(returning, 'worker')} to register anew" if returning else "")
        return left and f"the last run is still stopping ({left}): waiting for it"

    wait_while(what, LONGEST_SECONDS, _EACH_SECONDS, console, clock)


def wait_while(what: Callable[[], str], longest: float, each: float, console: Console, clock: Clock) -> None:
    """Wait while there is something to wait for, at most `longest` seconds, and say once what it is."""
    end = clock.now() + longest
    is_said = False
    while clock.now() < end and (note := what()):
        if not is_said:
            console.note(note)
            is_said = True
        clock.sleep(each)
