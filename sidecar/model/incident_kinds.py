"""The kinds of incidents: one table of names and severities, and the words around them. Pure.

The page gets the table from the server. The tab in Locust's own web UI cannot import it and keeps a copy of the names
(locustfiles/locust_kit/incidents_tab.py); a test holds it to this one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.common.units import plural
from sidecar.model.incident import Incident, IncidentKind, Severity

_ERROR, _WARN, _INFO = Severity.ERROR, Severity.WARN, Severity.INFO
_WORKER_ID = 17  # the container's short id, "_", and enough of the rest to tell processes of one container apart


@dataclass(frozen=True, slots=True)
class KindTraits:
    """The properties of all incidents of one kind.

    Attributes:
        label: its name in every view, message and command.
        severity: how much it matters, unless the incident has its own severity.
        headline: its name in the title of a message, for one and for several.
        lasts: whether it lasts for a time; the others happen at one moment.
        afterwards: its name as a consequence of another incident; "" if that is the label.
        is_summed: whether one incident can stand for several in a headline: its `count` is added up.

    """

    label: str
    severity: Severity
    headline: tuple[str, str]
    lasts: bool = False
    afterwards: str = ""
    is_summed: bool = False


KINDS: Mapping[IncidentKind, KindTraits] = {
    IncidentKind.OOM_KILL: KindTraits("OOM kill", _ERROR, ("OOM kill", "OOM kills"), is_summed=True),
    IncidentKind.RESTART: KindTraits("restart", _ERROR, ("restart", "restarts"), afterwards="restarted"),
    IncidentKind.EXIT: KindTraits("exit", _ERROR, ("container ended", "containers ended"), afterwards="exited"),
    IncidentKind.UNHEALTHY: KindTraits(
        "unhealthy", _ERROR, ("unhealthy container", "unhealthy containers"), lasts=True
    ),
    IncidentKind.WORKER_LOST: KindTraits("worker lost", _ERROR, ("worker lost", "workers lost")),
    IncidentKind.WORKER_LEFT: KindTraits("worker left", _INFO, ("worker left", "workers left")),
    IncidentKind.MASTER_RESTART: KindTraits(
        "master restart", _ERROR, ("restart of the master", "restarts of the master")
    ),
    IncidentKind.THROTTLED: KindTraits("throttled", _WARN, ("throttled container", "throttled containers"), lasts=True),
    IncidentKind.MEMORY_HIGH: KindTraits(
        "memory high", _WARN, ("container near its memory limit", "containers near their memory limit"), lasts=True
    ),
    IncidentKind.FORECAST: KindTraits("OOM forecast", _WARN, ("OOM forecast", "OOM forecasts"), lasts=True),
    IncidentKind.FAILURE_RATIO: KindTraits(
        "failures",
        _WARN,
        ("too many failed requests", "times too many failed requests"),
        lasts=True,
        afterwards="requests failed",
    ),
    IncidentKind.RESTART_LOOP: KindTraits("restart loop", _ERROR, ("restart loop", "restart loops"), lasts=True),
    IncidentKind.UNATTRIBUTED_OOM_KILL: KindTraits(
        "unattributed OOM kill", _WARN, ("unattributed OOM kill", "unattributed OOM kills"), is_summed=True
    ),
    IncidentKind.BLIND: KindTraits("blind", _WARN, ("blind span", "blind spans"), lasts=True),
}


def goes_on(incident: Incident) -> bool:
    """Return whether an incident is of a lasting kind and still ongoing."""
    return incident.until is None and KINDS[incident.kind].lasts


def short_worker(worker: str) -> str:
    """Shorten a Locust worker's id (`f26e19abb9b8_3f2a…`)."""
    return worker if len(worker) <= _WORKER_ID + 1 else f"{worker[:_WORKER_ID]}…"


def without_project(container: str | None, project: str | None) -> str:
    """Return a container's name without its project; "a container" if the name is unknown."""
    name = container or "a container"
    return name.removeprefix(f"{project}-") if project else name


def text_for_project(incident: Incident, project: str, name: str | None = None) -> str:
    """Return an incident's sentence for a view of a project.

    The sentence names a container without its project. For a container of another project, this name is replaced
    by `name`, or by the container's full name.
    """
    if incident.container is None or incident.project in {None, project}:
        return incident.text
    short = without_project(incident.container, incident.project)
    return re.sub(rf"(?<![\w/-]){re.escape(short)}(?![\w-])", lambda _: name or incident.container or "", incident.text)


def users_and_workers(users: int | None, workers: Sequence[str]) -> str:
    """Return how many users were lost with which workers, as the end of a sentence; "" if unknown."""
    if not workers:
        return f", {plural(users, 'user', ',')} lost" if users else ""
    more = f" and {len(workers) - 1} more" if len(workers) > 1 else ""
    which = f"worker{'s' if more else ''} {short_worker(workers[0])}{more}"
    if users is None:
        return f", {which}"
    return f", {plural(users, 'user', ',')} lost with {which}" if users else f", no users on {which}"
