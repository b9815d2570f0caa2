"""Containers that keep restarting, read from the incidents of their restarts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sidecar.incidents.conditions.sign import ConditionReading, Subject, of_project
from sidecar.model.incident import ExitReason, Incident, IncidentKind, Severity

RESTARTS = 3
WINDOW = timedelta(minutes=5)


def signs(at: datetime, incidents: Iterable[Incident]) -> Iterator[ConditionReading]:
    """Judge each container that was restarted within the last five minutes. A person's restarts do not count."""
    groups: dict[str, list[Incident]] = {}
    for incident in incidents:
        counts = (
            incident.kind in {IncidentKind.RESTART, IncidentKind.MASTER_RESTART}
            and incident.reason is not ExitReason.STOPPED
        )
        if counts and not incident.helper and incident.container_id and at - incident.at <= WINDOW:
            groups.setdefault(incident.container_id, []).append(incident)
    for group in groups.values():
        yield _sign(sorted(group, key=lambda one: one.at))


def _sign(restarts: list[Incident]) -> ConditionReading:
    latest, times = restarts[-1], sum(restart.count for restart in restarts)
    name = of_project(latest.container or "a container", latest.project)
    why = f", the last time: {latest.reason}" if latest.reason else ""
    return ConditionReading(
        IncidentKind.RESTART_LOOP,
        Severity.ERROR,
        Subject(latest.project, latest.service, latest.container, latest.container_id),
        bad=times >= RESTARTS,
        good=times < RESTARTS,
        text=f"{name} keeps restarting: {times} times within 5 minutes{why}",
        weight=times,
        count=times,
        since=restarts[0].at,
        cause=latest.cause,
    )
