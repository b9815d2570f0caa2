"""The record of a run as `run` alone saw it: the master's figures, and the monitor's incidents over HTTP.

It serves where nobody can read what the plugin writes: a master without the plugin, or a volume that is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sidecar.client.documents import Recording
from sidecar.client.reader import MonitorError
from sidecar.commands import follow, summary
from sidecar.commands.follow import RunObserved
from sidecar.commands.plan import MasterInfo, RunPlan
from sidecar.common.times import format_time
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError
from sidecar.model.incident import FINAL, Incident
from sidecar.model.run_record import RunRecord, Unknown, WorkerCounts
from sidecar.model.threshold import Threshold
from sidecar.report.verdict import goodbye
from sidecar.settings import Settings
from sidecar.stack import deployment, limits, workspace

_UNSEEN = "the sidecar was not there to see OOM kills and restarts"
_MOST_INCIDENTS = 5000
_PATIENCE_SECONDS, _EACH_SECONDS = 6.0, 0.5  # an incident is final 3.5 s after its last sign
_LONGEST_EXCEPTION = 200  # characters


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over, as far as `run` knows it.

    Attributes:
        plan: what was asked for.
        about: what the master said of itself.
        run_id: the plugin's id of it, or a new one.
        seen: what was observed of it.
        started_at: its start by this machine's clock.
        seconds: how long it was followed.
        stopped_by: the signal by which this command stopped it, "" without one.
        at_start: the master's figures from before it.
        thresholds: what its figures must be.
        plugin_run_id: "" where no plugin told of it.

    """

    plan: RunPlan
    about: MasterInfo
    run_id: str
    seen: RunObserved
    started_at: datetime
    seconds: float
    stopped_by: str
    at_start: Mapping[str, Any]
    thresholds: tuple[Threshold, ...] = ()
    plugin_run_id: str = ""


def record_of(
    web: LocustApi,
    settings: Settings,
    done: FinishedRun,
    sleep: Callable[[float], None] = time.sleep,
    unwritten: str = "",
) -> RunRecord:
    """Return the record of a run from what this command saw, what the master still tells, and the monitor.

    `unwritten` says why there is no record of it on the disk though there should be one.
    """
    seen, plan = done.seen, done.plan
    lasted = min(done.seconds, plan.seconds) if plan.seconds and not settings.attach else done.seconds
    until = done.started_at + timedelta(seconds=lasted)
    restarted = seen.master_lost == follow.RESTARTED
    incidents, unwatched, recording = incidents_since(settings, done.started_at, sleep, until)
    status = {} if seen.master_lost else asked(web.status)
    failures, meters = status.get("failures") or {}, status.get("meters") or {}
    performance = {} if seen.master_lost else asked(web.json, "/locust-kit/performance.json")
    return RunRecord(
        run_id=done.run_id,
        started_at=done.started_at,
        ended_at=None if seen.master_lost and not restarted else until,
        last_sign_at=until,
        begin=_begin(settings, done),
        end={"quit": restarted, "shape_cut": bool(plan.shape_class and done.stopped_by)},
        statistics={
            "figures": goodbye.of_load(summary.figures(seen.figures, lasted), meters),
            "endpoints": goodbye.endpoints_of_load(summary.endpoints(seen.figures, lasted), meters),
            "errors": summary.errors(seen.figures),
        },
        meters=meters,
        groups=failures or _exceptions(web, seen),
        performance=performance,
        incidents=incidents,
        unwatched=unwatched,
        recorded_until=recording.recorded_until,
        recording_error=recording.error,
        unwritten=unwritten,
        watched_until=until,
        counted=_counted(done),
        master_lost=seen.master_lost,
        stopped_by=done.stopped_by or "somebody else",
        unknown=_unknown(settings, seen, failures, performance),
    )


def _unknown(
    settings: Settings, seen: RunObserved, failures: Mapping[str, Any], performance: Mapping[str, Any]
) -> frozenset[Unknown]:
    """Return what only the plugin, or another command, could have told of the run."""
    return frozenset(
        {Unknown.SECONDS, Unknown.CONTAINERS}
        | ({Unknown.USERS, Unknown.PLAN} if settings.attach else set())
        | ({Unknown.USERS} if seen.master_lost else set())
        | (set() if failures else {Unknown.CLASSES})
        | (set() if performance else {Unknown.TIMES})
    )


def _begin(settings: Settings, done: FinishedRun) -> dict[str, Any]:
    """Return what the plugin would have written down at the start; what a followed run was asked, nobody here knows."""
    plan, is_ours = done.plan, not (settings.attach or done.plan.shape_class)
    load = {
        "users": plan.users or None,
        "spawn_rate_per_second": settings.spawn_rate,
        "run_time_seconds": plan.run_time,
    }
    return {
        "labels": dict(label.split("=", 1) for label in plan.labels),
        "host": plan.host or workspace.decided(settings).host,
        "user_classes": list(plan.classes),
        "attached": settings.attach,
        "plan": {
            **(load if is_ours else dict.fromkeys(load)),
            "shape_class": plan.shape_class or None,
            "shape_options": load if plan.shape_class and plan.sends_load and not settings.attach else None,
            "tags": list(settings.tags),
            "exclude_tags": list(settings.exclude_tags),
            "locustfile": settings.locustfile,
        },
        "judge": limits.words(settings, done.thresholds),
        "arguments": dict(plan.arguments),
        "locustfile": {
            "sha256": done.about.locustfile_sha256,
            "changed_on_disk": list(done.about.changed_on_disk),
        },
        "versions": {"locust": done.about.version},
    }


def _counted(done: FinishedRun) -> WorkerCounts:
    seen = done.seen
    return WorkerCounts(
        at_start=len(done.at_start.get("workers") or []),
        at_end=len(seen.present - seen.missing),
        lost=dict.fromkeys(sorted(seen.missing)),
        left=len(seen.left),
        users_at_end=seen.users,
        most_users=seen.most_users,
        wanted_users=done.plan.users,
        missing_before=seen.gone_before,
    )


def incidents_since(
    settings: Settings,
    since: datetime,
    sleep: Callable[[float], None] = time.sleep,
    until: datetime | None = None,
) -> tuple[tuple[Incident, ...], str, Recording]:
    """Return the project's incidents, why none are known, and up to when they are recorded.

    It waits a while, until no incident may change any more and all up to `until` are recorded.
    """
    reader, recording = deployment.reader(settings, 5.0), Recording()
    try:
        for _ in range(int(_PATIENCE_SECONDS / _EACH_SECONDS)):
            known = reader.incident_list(since=format_time(since), limit=_MOST_INCIDENTS, evidence=0)
            recording = known.recording or recording
            is_recorded = not (until and recording.recorded_until) or recording.recorded_until >= until
            if is_recorded and all(incident.state == FINAL or incident.until is None for incident in known.incidents):
                break
            sleep(_EACH_SECONDS)
    except MonitorError as error:
        return (), f"{_UNSEEN}: {error}", recording
    finally:
        reader.close()
    if known.project not in (None, settings.project):
        return (), f"{_UNSEEN}: port {settings.monitor_port} belongs to the stack {known.project!r}", Recording()
    own = tuple(incident for incident in known.incidents if incident.project in (None, settings.project))
    return own, "", recording


def _exceptions(web: LocustApi, seen: RunObserved) -> dict[str, Any]:
    """Return what users' code raised in this run, as the plugin would write it; empty when the master knows nothing.

    The message alone: Locust leaves the exception's type out. An `assert` has none; its line of code says more.
    """
    raised = [] if seen.master_lost else asked(web.json, "/exceptions").get("exceptions") or []
    groups = []
    for exception in sorted(raised, key=lambda exception: -int(exception.get("count") or 0)):
        first = str(exception.get("msg") or "").strip().splitlines()[:1]
        last = str(exception.get("traceback") or "").strip().splitlines()[-1:]
        text = "".join(first or last).strip()[:_LONGEST_EXCEPTION]
        groups.append({"class": "task_error", "message": text, "count": int(exception.get("count") or 0)})
    return {"groups": groups} if groups else {}


def asked(ask: Callable[..., Mapping[str, Any] | None], *path: str) -> Mapping[str, Any]:
    """Return what the master says; nothing where it does not answer."""
    try:
        return ask(*path) or {}
    except (MasterError, ValueError):
        return {}
