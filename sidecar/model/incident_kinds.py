"""What incidents and workers are called before people: the same words in every view, message and command. Pure.

Two places cannot import this and keep a copy: the page (static/js/incidents.js) and the tab in Locust's own web UI
(locustfiles/locust_kit/incidents_tab.py). A test holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sidecar.model.incident import Incident, IncidentKind

KIND_NAMES: Mapping[IncidentKind, str] = {
    IncidentKind.OOM_KILL: "OOM kill",
    IncidentKind.RESTART: "restart",
    IncidentKind.EXIT: "exit",
    IncidentKind.UNHEALTHY: "unhealthy",
    IncidentKind.WORKER_LOST: "worker lost",
    IncidentKind.WORKER_LEFT: "worker left",
    IncidentKind.MASTER_RESTART: "master restart",
    IncidentKind.THROTTLED: "throttled",
    IncidentKind.MEMORY_HIGH: "memory high",
    IncidentKind.FORECAST: "OOM forecast",
    IncidentKind.FAILURE_RATIO: "failures",
    IncidentKind.RESTART_LOOP: "restart loop",
    IncidentKind.UNATTRIBUTED_OOM_KILL: "unattributed OOM kill",
    IncidentKind.BLIND: "blind",
}

_WORKER_ID = 17  # the container's short id, "_", and enough of the rest to tell processes of one container apart


def short_worker(worker: str) -> str:
    """Shorten a Locust worker's id (`f26e19abb9b8_3f2a…`)."""
    return worker if len(worker) <= _WORKER_ID + 1 else f"{worker[:_WORKER_ID]}…"


def told(incident: Incident, project: str, name: str | None = None) -> str:
    """Return an incident's sentence as a view of a project says it.

    The sentence names a container without its project. Of another project's container that would be half a name: it
    becomes `name`, or the container's own full one.
    """
    if incident.container is None or incident.project in {None, project}:
        return incident.text
    short = incident.container.removeprefix(f"{incident.project}-")
    return re.sub(rf"(?<![\w/-]){re.escape(short)}(?![\w-])", lambda _: name or incident.container or "", incident.text)


def users_and_workers(users: int | None, workers: Sequence[str]) -> str:
    """Say how many users went with which workers, as the end of a sentence; "" when nothing is known of either."""
    if not workers:
        return f", {_users(users)} lost" if users else ""
    more = f" and {len(workers) - 1} more" if len(workers) > 1 else ""
    which = f"worker{'s' if more else ''} {short_worker(workers[0])}{more}"
    if users is None:
        return f", {which}"
    return f", {_users(users)} lost with {which}" if users else f", no users on {which}"


def _users(users: int) -> str:
    return f"{users:,} user{'' if users == 1 else 's'}"
