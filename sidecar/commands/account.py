"""What else is known of a run that is over: the sidecar's incidents, and the load machine's own limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.client.documents import IncidentList
from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.common.times import format_time
from sidecar.locust_api.connection import MasterError
from sidecar.model import document
from sidecar.model.incident import FINAL
from sidecar.report.verdict import verdict
from sidecar.report.verdict.decision import InvalidReason
from sidecar.stack import deployment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sidecar.commands.outcome import FinishedRun
    from sidecar.locust_api.client import LocustApi
    from sidecar.settings import Settings

_UNSEEN = "the sidecar was not there to see OOM kills and restarts"
_MOST_INCIDENTS = 5000
_PATIENCE_SECONDS, _EACH_SECONDS = 6.0, 0.5  # an incident is final 3.5 s after its last sign
_SETTLE_SECONDS = 5.0  # of a ramp: the master's figures are up to 4 s old, so a run as short shows no user at all


def by_incidents(
    settings: Settings, started_at: datetime, sleep: Callable[[float], None] = time.sleep
) -> tuple[InvalidReason, ...]:
    """What broke since the run began by the sidecar's account, the gravest first; that there is none is a reason."""
    reader = deployment.reader(settings, 5.0)
    try:
        found = _settled(reader, started_at, sleep)
    except (MonitorError, document.DocumentError) as error:
        return (InvalidReason("blind", f"{_UNSEEN}: {error}"),)
    finally:
        reader.close()
    if found.project not in (None, settings.project):
        return (
            InvalidReason("blind", f"{_UNSEEN}: port {settings.monitor_port} belongs to the stack {found.project!r}"),
        )
    ours = [incident for incident in found.incidents if incident.project in (None, settings.project)]
    return tuple(InvalidReason(str(one.kind), one.text, one.at) for one in verdict.invalidating(started_at, ours))


def _settled(reader: SidecarReader, since: datetime, sleep: Callable[[float], None]) -> IncidentList:
    """The incidents since then, once none of them may change any more, or after a while."""
    for _ in range(int(_PATIENCE_SECONDS / _EACH_SECONDS)):
        body = reader.incidents(since=format_time(since), limit=_MOST_INCIDENTS, evidence=0)
        found = document.loads_as(IncidentList, body, "list of incidents")
        if all(incident.state == FINAL or incident.until is None for incident in found.incidents):
            break
        sleep(_EACH_SECONDS)
    return found


def by_generator(web: LocustApi) -> str:
    """How many requests failed for the load machine's own limits; "" for none, or without the plugin."""
    try:
        status = web.status() or {}
    except (MasterError, ValueError):
        return ""
    count = int(((status.get("failures") or {}).get("classes") or {}).get("generator") or 0)
    groups = (status.get("failures") or {}).get("groups") or []
    details = sorted({str(group.get("detail")) for group in groups if group.get("class") == "generator"})
    told = f" ({', '.join(details)})" if details else ""
    return f"{count} requests failed for a limit of the load machine itself{told}" if count else ""


def by_users(done: FinishedRun) -> str:
    """That the users who were asked for never were there; "" when they were, or when nobody can tell."""
    wanted, plan = done.plan.users, done.plan
    if plan.shape_class or not wanted or done.seen.most_users >= wanted or done.ended_early or done.seen.master_lost:
        return ""
    ramp = wanted / plan.spawn_rate if plan.spawn_rate else 0.0
    if plan.run_time and ramp > plan.run_time:
        why = f": at {plan.spawn_rate:g} a second that takes {ramp:.0f} s, and the run had {plan.run_time} s"
    elif min(done.seconds, plan.run_time or done.seconds) < ramp + _SETTLE_SECONDS:
        return ""
    else:
        why = ""
    return f"only {done.seen.most_users} of {wanted} users were ever there{why}"
