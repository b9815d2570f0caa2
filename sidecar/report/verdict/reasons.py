"""Find what broke a run's measurement, from its record. Pure.

The most serious comes first: incidents of containers, then what the master's account shows. A rule is skipped if the
record's source could not see what the rule needs. The record lists what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sidecar.common.times import docker_time
from sidecar.common.units import plural
from sidecar.model.incident import ExitReason, Incident, IncidentKind
from sidecar.model.run_record import Moment, RunRecord, Unknown, objects
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.report.verdict import stalls
from sidecar.report.verdict.rate import rate_short
from sidecar.report.verdict.reason import STEP, GeneratorLimits, Held, InvalidReason, Sustained, held, lasting, share_of
from sidecar.report.verdict.unanswered import unreported
from sidecar.report.verdict.users import users_short

_ALWAYS = frozenset({IncidentKind.WORKER_LOST, IncidentKind.MASTER_RESTART})
_OF_GENERATORS = frozenset({IncidentKind.OOM_KILL, IncidentKind.RESTART, IncidentKind.EXIT})
_GRAVITY = (
    IncidentKind.MASTER_RESTART,
    IncidentKind.OOM_KILL,
    IncidentKind.WORKER_LOST,
    IncidentKind.RESTART,
    IncidentKind.EXIT,
    IncidentKind.BLIND,
)
_SERIES_STEPS = 3
_EARLY_SLACK_SECONDS = 1.0
_BLIND_SECONDS, _BLIND_LOOKS = 10.0, 3.0
_GRACE = timedelta(seconds=30)  # for a worker that has just been started to register: a busy machine takes 20


def reasons(record: RunRecord, limits: GeneratorLimits) -> tuple[InvalidReason, ...]:
    """Return what broke, the most serious first; nothing for a valid run."""
    incidents = breaking(record)
    of_incidents = [_of_incident(incident, record) for incident in incidents]
    of_master = [] if Unknown.END in record.unknown else list(_broke_off(record))
    master_known = any(
        incident.service == MASTER or incident.kind is IncidentKind.MASTER_RESTART for incident in incidents
    )
    explained = any(incident.service == WORKER or incident.kind is IncidentKind.WORKER_LOST for incident in incidents)
    others = (
        ({Unknown.WORKERS}, () if explained else _missing(record)),
        ({Unknown.SECONDS, Unknown.CONTAINERS}, _never_came(record, limits.sustained)),
        (set[Unknown](), unreported(record)),
        ({Unknown.CLASSES}, _not_sent(record)),
        ({Unknown.CLASSES}, _own_limits(record)),
        ({Unknown.SECONDS}, _busy(record, limits)),
        ({Unknown.CONTAINERS}, _throttled(record, limits)),
        (set[Unknown](), unheard(record)),
        ({Unknown.USERS}, users_short(record, limits.sustained)),
        ({Unknown.SECONDS}, rate_short(record, limits)),
        (set[Unknown](), stalls.sustained(record, limits)),
        ({Unknown.END, Unknown.PLAN}, _ended_early(record)),
        (set[Unknown](), _unwatched(record)),
    )
    return (
        *(of_incidents if master_known else of_master),
        *(of_master if master_known else of_incidents),
        *(reason for needed, found in others if not needed & record.unknown for reason in found),
    )


def breaking(record: RunRecord) -> tuple[Incident, ...]:
    """Return the incidents that make the run INVALID, the most serious first.

    A worker that the master had lost before the run took no part in it, whenever the loss is recorded.
    """
    before = record.workers.missing_before
    return tuple(
        incident
        for incident in invalidating(record.started_at, record.incidents)
        if incident.kind is not IncidentKind.WORKER_LOST
        or not incident.workers
        or not before.issuperset(incident.workers)
    )


def invalidating(started_at: datetime, incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """Return the incidents that make a run INVALID, without consequences of others, the most serious first."""
    candidates = [incident for incident in incidents if _is_within(incident, started_at) and _invalidates(incident)]
    ids = {incident.id for incident in candidates}
    roots = (incident for incident in candidates if incident.cause not in ids)
    return tuple(sorted(roots, key=lambda incident: (_GRAVITY.index(incident.kind), incident.at)))


def _is_within(incident: Incident, started_at: datetime) -> bool:
    """Return whether an incident came after the run's start, or is a blind span that reached into the run."""
    lasted = incident.kind is IncidentKind.BLIND and (incident.until is None or incident.until > started_at)
    return lasted or incident.at >= started_at


def _invalidates(incident: Incident) -> bool:
    if incident.helper or incident.reason is ExitReason.STOPPED:
        return False
    if incident.kind in _OF_GENERATORS:
        return incident.service in {MASTER, WORKER} and incident.count > 0
    return incident.kind in _ALWAYS or (incident.kind is IncidentKind.BLIND and incident.severity != "info")


def _of_incident(incident: Incident, record: RunRecord) -> InvalidReason:
    lasted = None if incident.until is None else (min(incident.until, record.until) - incident.at).total_seconds()
    seconds = lasted if lasted is not None and incident.kind is IncidentKind.BLIND else None
    return InvalidReason(str(incident.kind), incident.text, incident.at, seconds, share_of(seconds, record))


def _broke_off(record: RunRecord) -> Iterator[InvalidReason]:
    if record.ended_at is None and not record.is_running:
        silent = f"the run broke off: the master wrote nothing after {record.until:%H:%M:%S} UTC"
        yield InvalidReason("broke_off", record.master_lost or silent, record.until)
    if record.end.get("quit"):
        text = record.master_lost or "the master was stopped or restarted during the run"
        yield InvalidReason("master_restart", text, record.until)


def _missing(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield the workers that the master lost in the run. Workers that were missing at its start do not count."""
    lost = record.workers.lost
    if lost:
        text = f"{plural(len(lost), 'worker')} went missing during the run"
        yield InvalidReason("worker_lost", text, next(iter(lost.values())))


def _never_came(record: RunRecord, limit: Sustained) -> Iterator[InvalidReason]:
    """Yield that fewer workers were connected than the containers should have (several each with --processes).

    A shortage for the whole run counts, however short the run is: a process was gone before.
    """
    running = _running(record)
    points = []
    most = (0, 0)
    for moment in record.load_moments:
        unheard = max(0, running(moment.at) - moment.worker_hosts) if running else 0
        there = moment.workers_expected + unheard
        points.append((moment.at, moment.workers < there))
        if there - moment.workers > most[0] - most[1]:
            most = (there, moment.workers)
    span = held(points, STEP)
    always = bool(points) and all(moment.workers < moment.workers_expected for moment in record.load_moments)
    if span and (always or span.is_sustained(record.seconds, limit)):
        yield lasting(
            "workers_missing",
            f"workers were missing: {most[1]} of {most[0]} were connected to the master",
            span,
            record,
        )


def _running(record: RunRecord) -> Callable[[datetime], int] | None:
    """Return a function: how many worker containers had been running for a while at a moment. None if unknown.

    A container whose worker left on purpose still runs while its users say goodbye.
    """
    left = {one.container: one.at for one in record.incidents if one.kind is IncidentKind.WORKER_LEFT}
    spans = [
        (recorded_series.points[0].at, left.get(recorded_series.name, recorded_series.points[-1].at))
        for recorded_series in record.series
        if recorded_series.service == WORKER and recorded_series.points
    ]
    if not spans:
        return None
    begun = min(since for since, _ in spans)

    def at(moment: datetime) -> int:
        return sum(1 for since, until in spans if (since == begun or since + _GRACE <= moment) and moment <= until)

    return at


def _not_sent(record: RunRecord) -> Iterator[InvalidReason]:
    count = int((record.groups.get("classes") or {}).get("target_not_allowed") or 0)
    if count:
        groups = [group for group in objects(record.groups.get("groups")) if group.get("class") == "target_not_allowed"]
        example = f" ({groups[0].get('message')})" if groups else ""
        text = f"{plural(count, 'request')} to a host outside ALLOWED_TARGETS did not leave the workers{example}"
        first = next((moment.at for moment in record.moments if moment.classes.get("target_not_allowed")), None)
        yield InvalidReason("target_not_allowed", text, first)


def _own_limits(record: RunRecord) -> Iterator[InvalidReason]:
    count = int((record.groups.get("classes") or {}).get("generator") or 0)
    if not count:
        return
    groups = [group for group in record.groups.get("groups") or [] if group.get("class") == "generator"]
    details = ", ".join(sorted({str(group["detail"]) for group in groups if group.get("detail")}))
    first = next((moment.at for moment in record.moments if moment.classes.get("generator")), None)
    text = (
        f"{plural(count, 'request')} failed because of a limit of the load machine{f' ({details})' if details else ''}"
    )
    yield InvalidReason("generator_limits", text, first)


def _busy(record: RunRecord, limits: GeneratorLimits) -> Iterator[InvalidReason]:
    points = [(moment.at, moment.cpu_percent >= limits.cpu_percent) for moment in record.load_moments]
    span = held(points, STEP)
    if span and span.is_sustained(record.seconds, limits.sustained):
        most = max(moment.cpu_percent for moment in record.load_moments)
        text = f"a worker used {limits.cpu_percent:g} % of a CPU core or more (highest: {most:.0f} %)"
        yield lasting("generator_cpu", text, span, record, advice=": increase WORKERS")


def _throttled(record: RunRecord, limits: GeneratorLimits) -> Iterator[InvalidReason]:
    worst: tuple[Held, str, float] | None = None
    for series in record.series:
        if series.service != WORKER or len(series.points) <= 1:
            continue
        points = [(point.at, (point.throttled_percent or 0.0) >= limits.throttled_percent) for point in series.points]
        step = (series.points[-1].at - series.points[0].at) / (len(series.points) - 1)
        span = held(points, _SERIES_STEPS * step)
        if span and span.is_sustained(record.seconds, limits.sustained) and (not worst or span.at < worst[0].at):
            worst = (span, series.name, max(point.throttled_percent or 0.0 for point in series.points))
    if worst:
        span, name, most = worst
        limit = f"{limits.throttled_percent:g} % of its CPU periods or more"
        text = f"{name} was throttled in {limit} (highest: {most:.0f} %)"
        yield lasting("throttled", text, span, record, advice=": increase WORKER_CPUS")


def ended_by_user_code(record: RunRecord) -> str:
    """Return what in the user's code ended the run, when and where; "" if it did not."""
    ended_by = record.end.get("ended_by") or {}
    if not ended_by or record.ended_at is None:
        return ""
    run_time = float(record.plan.get("run_time_seconds") or 0)
    of_time = f" of {run_time:g} s" if run_time else ""
    where = f" ({ended_by['where']})" if ended_by.get("where") else ""
    return f"ended by the locustfile: {ended_by['call']} after {record.seconds:.0f} s{of_time}{where}"


def _ended_early(record: RunRecord) -> Iterator[InvalidReason]:
    run_time = float(record.plan.get("run_time_seconds") or 0)
    if record.end.get("ended_by_timer"):
        return
    by = record.stopped_by or record.end.get("stopped_by")
    stopped = f"stopped{f' by {by}' if by else ''} after {record.seconds:.0f} s"
    by_user_code = ended_by_user_code(record)
    if record.ended_at is not None and run_time and record.seconds < run_time - _EARLY_SLACK_SECONDS:
        yield InvalidReason("ended_early", by_user_code or f"{stopped} of {run_time:g} s", record.ended_at)
    elif record.end.get("shape_cut"):
        yield InvalidReason("ended_early", by_user_code or f"{stopped}, before the load shape ended", record.ended_at)


def _unwatched(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield that no monitor watched at the run's end. An earlier span is an incident, once the monitor is back."""
    if record.unwatched:
        yield InvalidReason("blind", record.unwatched)
        return
    seen = record.watched_until or record.started_at
    gap = (record.load_until - seen).total_seconds()
    if gap > max(_BLIND_SECONDS, _BLIND_LOOKS * record.look_seconds) or record.watched_until is None:
        text = (
            f"the monitor did not watch from {seen:%H:%M:%S} UTC, for {gap:.0f} s: "
            "OOM kills and restarts may be missing"
        )
        yield InvalidReason("blind", text, seen, gap, share_of(gap, record))


def warnings(moments: tuple[Moment, ...], limits: GeneratorLimits) -> Iterator[str]:
    """Yield warnings, which break nothing."""
    most = max((moment.master_cpu_percent for moment in moments), default=0.0)
    if most >= limits.cpu_percent:
        yield f"the master used {most:.0f} % of a CPU core: its figures may be late"


_MOST_SAID = 3


def unheard(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield that figures of running workers are missing. The master knows whose."""
    reports = record.meters.get("reports", {})
    yield from _silent(objects(reports.get("silent_workers")))
    yield from _refused(objects(reports.get("refused")))


def _silent(rows: list[Mapping[str, Any]]) -> Iterator[InvalidReason]:
    """Yield that workers with users sent no statistics for a while, although their heartbeats continued."""
    for row in rows[:_MOST_SAID]:
        at, seconds = docker_time(row.get("at")), float(row.get("seconds") or 0.0)
        since = f" from {at:%H:%M:%S} UTC" if at else ""
        text = (
            f"worker {row.get('worker')} sent no statistics for {seconds:.0f} s{since}, with {row.get('users')} users: "
            "their requests are not counted; see the worker's log"
        )
        yield InvalidReason("worker_silent", text, at, seconds)


def _refused(rows: list[Mapping[str, Any]]) -> Iterator[InvalidReason]:
    """Yield that the master refused reports with figures. These figures are unknown."""
    with_figures = [row for row in rows if row.get("changes_figures")]
    if not with_figures:
        return
    count = sum(int(row.get("count") or 0) for row in with_figures)
    said = [f"{row.get('worker')}: {row.get('reason')}" for row in with_figures[:_MOST_SAID]]
    more = "" if len(with_figures) <= _MOST_SAID else f"; and {len(with_figures) - _MOST_SAID} more"
    text = (
        f"the master refused {plural(count, 'report')} of workers as impossible and did not count them "
        f"({'; '.join(said)}{more}): its log shows the value; run the kit's own image on each worker"
    )
    first_at = min(filter(None, (docker_time(row.get("first_at")) for row in with_figures)), default=None)
    yield InvalidReason("report_refused", text, first_at)
