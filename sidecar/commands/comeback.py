"""Wait for a master that the locustfile of the last run ended, and for the workers that come back to the new one."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.commands.stopping import wait_while
from sidecar.common.console import Console
from sidecar.common.errors import EngineError
from sidecar.engine.docker_engine import DockerEngine, find_socket
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterDownError, MasterError
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import Settings
from sidecar.stack import workspace
from sidecar.stack.registered import Clock

_LONGEST_SECONDS, _EACH_SECONDS = 60.0, 0.5
_YOUNG_SECONDS = 60.0  # workers of a new master register within this time
_COMES_UP = frozenset({"running", "restarting"})


def wait(web: LocustApi, settings: Settings, environ: Mapping[str, str], console: Console, clock: Clock) -> None:
    """Wait while the master ends, starts or gets its workers back; what is missing then, the caller finds."""
    note = "the master is being started anew: waiting for it and its workers"
    wait_while(
        lambda: note if _is_coming_back(web, settings, environ) else "",
        *(_LONGEST_SECONDS, _EACH_SECONDS, console, clock),
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
    """Return how many containers of a service live, or are being started anew by Docker; 0 where nobody can tell."""
    try:
        containers = DockerEngine(find_socket(environ)).containers(settings.project)
    except EngineError:
        return 0
    return sum(container.service == service and container.state in _COMES_UP for container in containers)
