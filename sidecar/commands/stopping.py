"""Wait for a run that is stopping: for its users, its listeners, and a master that the last locustfile ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sidecar.common.console import Console
from sidecar.common.errors import EngineError
from sidecar.common.units import plural
from sidecar.engine.docker_engine import DockerEngine, find_socket
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterDownError, MasterError
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import Settings
from sidecar.stack import workspace
from sidecar.stack.registered import Clock

LONGEST_SECONDS = 600.0  # for the end of a run: listeners of test_stop may take long
_EACH_SECONDS = 1.0


def waits_for(status: Mapping[str, Any] | None) -> str:
    """Return in one line what the run waits for; "" if no run is stopping, or the plugin does not know."""
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
    """Wait while the last run is still stopping, and print the reason once. The caller checks the result."""

    def what() -> str:
        try:
            status = web.status() or {}
        except MasterError:
            return ""
        returning = int(status.get("workers_to_return") or 0)
        left = waits_for(status) or (f"{plural(returning, 'worker')} to register again" if returning else "")
        return left and f"the last run is still stopping, waiting for it ({left})"

    wait_while(what, LONGEST_SECONDS, _EACH_SECONDS, console, clock)


def wait_while(what: Callable[[], str], longest: float, each: float, console: Console, clock: Clock) -> None:
    """Wait while there is something to wait for, at most `longest` seconds, and print it once."""
    end = clock.now() + longest
    is_said = False
    while clock.now() < end and (note := what()):
        if not is_said:
            console.note(note)
            is_said = True
        clock.sleep(each)


_COMEBACK_SECONDS, _COMEBACK_EACH_SECONDS = 60.0, 0.5
_YOUNG_SECONDS = 60.0  # workers of a new master register within this time
_COMES_UP = frozenset({"running", "restarting"})


def wait_for_master(
    web: LocustApi, settings: Settings, environ: Mapping[str, str], console: Console, clock: Clock
) -> None:
    """Wait while the master ends, starts or gets its workers back. The caller checks the result."""
    note = "the master restarts: waiting for it and its workers"
    wait_while(
        lambda: note if _is_coming_back(web, settings, environ) else "",
        *(_COMEBACK_SECONDS, _COMEBACK_EACH_SECONDS, console, clock),
    )


def _is_coming_back(web: LocustApi, settings: Settings, environ: Mapping[str, str]) -> bool:
    try:
        status = web.status()
    except MasterDownError:
        return _living(MASTER, settings, environ) > 0
    except MasterError:
        return False
    if status is None:
        return False
    seconds = status.get("uptime_seconds")
    uptime = _YOUNG_SECONDS if seconds is None else float(seconds)
    connected = len(status.get("workers_connected") or ())
    is_young = uptime < _YOUNG_SECONDS and connected < workspace.expected_workers(settings)
    return bool(status.get("is_ending")) or (
        is_young and connected < workspace.processes(settings) * _living(WORKER, settings, environ)
    )


def _living(service: str, settings: Settings, environ: Mapping[str, str]) -> int:
    """Return how many containers of a service run or are restarting; 0 if Docker does not answer."""
    try:
        containers = DockerEngine(find_socket(environ)).containers(settings.project)
    except EngineError:
        return 0
    return sum(container.service == service and container.state in _COMES_UP for container in containers)
