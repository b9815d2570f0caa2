"""The record of a run from what `run` saw: the master's figures, and the monitor's incidents over HTTP.

It replaces the plugin's record if that is missing: for a master without the plugin, or after a volume was removed.
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

_UNSEEN = "the monitor was not running, so OOM kills and restarts were not recorded"
_MOST_INCIDENTS = 5000
_PATIENCE_SECONDS, _EACH_SECONDS = 6.0, 0.5  # an incident is final 3.5 s after its last signal
_LONGEST_EXCEPTION = 200  # characters


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run, as far as `run` knows it.

    Attributes:
        plan: the plan of the run.
        about: the facts about the master.
        run_id: the plugin's id of the run, or a new id.
        seen: the observations of the run.
        started_at: the start by this machine's clock.
        seconds: how long the run was followed.
        stopped_by: the signal that stopped it, "" without a signal.
        at_start: the master's figures before the run.
        thresholds: the limits for its figures.
        plugin_run_id: the plugin's id, "" if the plugin did not report the run.

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
    """Return the record of a run from this command's observations, the master's answers, and the monitor.

    `unwritten` is the reason for a missing record on the disk.
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
    """Return the facts about the run that only the plugin, or another command, knows."""
    return frozenset(
        {Unknown.SECONDS, Unknown.CONTAINERS}
        | ({Unknown.USERS, Unknown.PLAN} if settings.attach else set())
        | ({Unknown.USERS} if seen.master_lost else set())
        | (set() if failures else {Unknown.CLASSES})
        | (set() if performance else {Unknown.TIMES})
    )


def _begin(settings: Settings, done: FinishedRun) -> dict[str, Any]:
    """Return what the plugin would have recorded at the start. The settings of a followed run are unknown."""
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
    """Return the project's incidents, the reason if they are unknown, and the time up to which they are recorded.

    It waits a while, until every incident is final and all incidents up to `until` are recorded.
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
    """Return the exceptions of users' code in this run, in the plugin's form; empty if the master has none.

    They have only the message, because Locust omits the type. An `assert` has no message, so its line of code is shown.
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
    """Return the master's answer; nothing if it does not answer."""
    try:
        return ask(*path) or {}
    except (MasterError, ValueError):
        return {}
