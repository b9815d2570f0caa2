"""What broke a run's measurement, from all that is on the disk of it. Pure.

The gravest comes first: what the sidecar saw happen to containers, then what the master's own account shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.common.spans import Held, Sustained, held
from sidecar.incidents.warnings import MASTER, WORKER
from sidecar.model.history import RecordedSeries
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.run_record import Moment, RunRecord
from sidecar.report.verdict.decision import InvalidReason
from sidecar.report.verdict.verdict import invalidating

_STEP = timedelta(seconds=10)  # of the timeline; a master that is busy may leave out a second or two
_SERIES_STEPS = 3
_RAMP_SLACK_SECONDS = 5.0  # workers tell their users every 3 s
_EARLY_SLACK_SECONDS = 1.0
_BLIND_SECONDS, _BLIND_LOOKS = 10.0, 3.0
_GRACE = timedelta(seconds=10)  # for a worker that has just been started to register


@dataclass(frozen=True, slots=True)
class GeneratorLimits:
    """Above what a generator is no witness any more: CPU in percent of a core, throttled in percent of the periods."""

    cpu_percent: float = 90.0
    throttled_percent: float = 25.0
    sustained: Sustained = field(default_factory=Sustained)


def reasons(record: RunRecord, limits: GeneratorLimits) -> tuple[InvalidReason, ...]:
    """What broke, the gravest first; none for a run that can be trusted."""
    incidents = breaking(record)
    of_incidents = [_of_incident(incident, record) for incident in incidents]
    master_known = any(
        incident.service == MASTER or incident.kind is IncidentKind.MASTER_RESTART for incident in incidents
    )
    broke_off = list(_broke_off(record))
    found = [*of_incidents, *broke_off] if master_known else [*broke_off, *of_incidents]
    if not any(incident.service == WORKER or incident.kind is IncidentKind.WORKER_LOST for incident in incidents):
        found += _missing(record)
    found += _never_came(record, limits.sustained)
    found += _own_limits(record)
    found += _busy(record, limits)
    found += _throttled(record, limits)
    found += _users(record)
    found += _ended_early(record)
    found += _unwatched(record)
    return tuple(found)


def breaking(record: RunRecord) -> tuple[Incident, ...]:
    """The incidents that make the run INVALID, the gravest first.

    A worker that the master had given up on when the run began took no part in it, whenever that is recorded.
    """
    before = set(record.moments[0].missing) if record.moments else set()
    found = invalidating(record.started_at, record.incidents)
    return tuple(
        one
        for one in found
        if one.kind is not IncidentKind.WORKER_LOST or not one.workers or not before.issuperset(one.workers)
    )


def _of_incident(incident: Incident, record: RunRecord) -> InvalidReason:
    lasted = None if incident.until is None else (min(incident.until, record.until) - incident.at).total_seconds()
    seconds = lasted if lasted is not None and incident.kind is IncidentKind.BLIND else None
    return InvalidReason(str(incident.kind), incident.text, incident.at, seconds, _share(seconds, record))


def _share(seconds: float | None, record: RunRecord) -> float | None:
    return None if seconds is None or not record.seconds else min(1.0, seconds / record.seconds)


def _broke_off(record: RunRecord) -> Iterator[InvalidReason]:
    if record.ended_at is None and not record.is_going:
        at = f"{record.until:%H:%M:%S}"
        yield InvalidReason("broke_off", f"the run broke off: the master wrote nothing after {at} UTC", record.until)
    if record.end.get("quit"):
        yield InvalidReason("master_restart", "the master was ended or restarted during the run", record.until)


def _missing(record: RunRecord) -> Iterator[InvalidReason]:
    """Workers that the master gave up on in the run; those that were missing at its start are none."""
    before = set(record.moments[0].missing) if record.moments else set()
    when: dict[str, datetime] = {}
    for moment in record.moments:
        for name in moment.missing:
            when.setdefault(name, moment.at)
    lost = [name for name in when if name not in before]
    if lost:
        text = f"{len(lost)} worker{'' if len(lost) == 1 else 's'} went missing during the run"
        yield InvalidReason("worker_lost", text, when[lost[0]])


def _never_came(record: RunRecord, limit: Sustained) -> Iterator[InvalidReason]:
    """Worker containers that ran, without as many workers at the master. One may have several (--processes)."""
    running = _running(record.series)
    if not running:
        return
    points = []
    most = (0, 0)
    for moment in record.moments:
        there = running(moment.at)
        points.append((moment.at, moment.workers < there))
        if there - moment.workers > most[0] - most[1]:
            most = (there, moment.workers)
    found = held(points, _STEP)
    if found and found.is_sustained(record.seconds, limit):
        lasted, told = _lasted(found, record)
        text = f"workers were missing: {most[1]} of {most[0]} were at the master{told}"
        yield InvalidReason("workers_missing", text, found.at, lasted, _share(lasted, record))


def _running(series: tuple[RecordedSeries, ...]) -> Callable[[datetime], int] | None:
    """How many worker containers ran at a moment, and had by then for a while; None when nobody counted."""
    spans = [
        (recorded_series.points[0].at, recorded_series.points[-1].at)
        for recorded_series in series
        if recorded_series.service == WORKER and recorded_series.points
    ]
    if not spans:
        return None
    begun = min(since for since, _ in spans)

    def at(moment: datetime) -> int:
        return sum(1 for since, until in spans if (since == begun or since + _GRACE <= moment) and moment <= until)

    return at


def _own_limits(record: RunRecord) -> Iterator[InvalidReason]:
    count = int((record.groups.get("classes") or {}).get("generator") or 0)
    if not count:
        return
    groups = [group for group in record.groups.get("groups") or [] if group.get("class") == "generator"]
    details: Counter[str] = Counter()
    for group in groups:
        details[str(group.get("detail") or "")] += int(group.get("count") or 0)
    told = ", ".join(sorted(filter(None, details)))
    first = next((moment.at for moment in record.moments if moment.classes.get("generator")), None)
    text = f"{count} requests failed for a limit of the load machine itself{f' ({told})' if told else ''}"
    yield InvalidReason("generator_limits", text, first)


def _busy(record: RunRecord, limits: GeneratorLimits) -> Iterator[InvalidReason]:
    points = [(moment.at, moment.cpu_percent >= limits.cpu_percent) for moment in record.moments]
    found = held(points, _STEP)
    if found and found.is_sustained(record.seconds, limits.sustained):
        lasted, told = _lasted(found, record)
        most = max(moment.cpu_percent for moment in record.moments)
        text = f"a worker was at {limits.cpu_percent:g} % of a core or more, {most:.0f} % at most{told}: more WORKERS"
        yield InvalidReason("generator_cpu", text, found.at, lasted, _share(lasted, record))


def _throttled(record: RunRecord, limits: GeneratorLimits) -> Iterator[InvalidReason]:
    worst: tuple[Held, str, float] | None = None
    for one in record.series:
        if one.service != WORKER or len(one.points) <= 1:
            continue
        points = [(point.at, (point.throttled_percent or 0.0) >= limits.throttled_percent) for point in one.points]
        step = (one.points[-1].at - one.points[0].at) / (len(one.points) - 1)
        found = held(points, _SERIES_STEPS * step)
        if found and found.is_sustained(record.seconds, limits.sustained) and (not worst or found.at < worst[0].at):
            worst = (found, one.name, max(point.throttled_percent or 0.0 for point in one.points))
    if worst:
        found, name, most = worst
        lasted, told = _lasted(found, record)
        text = (
            f"{name} was throttled in {limits.throttled_percent:g} % of its CPU periods or more, {most:.0f} % at most"
        )
        yield InvalidReason("throttled", f"{text}{told}: more WORKER_CPUS", found.at, lasted, _share(lasted, record))


def _lasted(found: Held, record: RunRecord) -> tuple[float, str]:
    share = min(1.0, found.seconds / record.seconds) if record.seconds else 1.0
    return found.seconds, f", from {found.at:%H:%M:%S} UTC, for {found.seconds:.0f} s, {share:.0%} of the run"


def _users(record: RunRecord) -> Iterator[InvalidReason]:
    """That the users who were asked for never were there; of a load shape nobody asked for a number."""
    wanted = max((moment.target_users for moment in record.moments), default=0)
    most = max([int(record.end.get("most_users") or 0), *(moment.users for moment in record.moments)])
    if record.plan.get("shape_class") or most >= wanted:
        return
    rate = float(record.plan.get("spawn_rate_per_second") or 0)
    ramp, run_time = (wanted / rate if rate else 0.0), float(record.plan.get("run_time_seconds") or 0)
    short = f"only {most} of {wanted} users were ever there"
    if run_time and ramp > run_time:
        text = f"{short}: at {rate:g} a second that takes {ramp:.0f} s, and the run had {run_time:g} s"
        yield InvalidReason("users_short", text)
    elif record.seconds >= ramp + _RAMP_SLACK_SECONDS:
        yield InvalidReason("users_short", short)


def _ended_early(record: RunRecord) -> Iterator[InvalidReason]:
    run_time = float(record.plan.get("run_time_seconds") or 0)
    if record.ended_at is not None and run_time and record.seconds < run_time - _EARLY_SLACK_SECONDS:
        text = f"stopped after {record.seconds:.0f} s of {run_time:g} s"
        yield InvalidReason("ended_early", text, record.ended_at)
    elif record.end.get("shape_cut"):
        text = f"stopped after {record.seconds:.0f} s, before the load shape ended"
        yield InvalidReason("ended_early", text, record.ended_at)


def _unwatched(record: RunRecord) -> Iterator[InvalidReason]:
    """That nobody watched at its end; a span in the middle is an incident, once the sidecar is back."""
    if record.unwatched:
        yield InvalidReason("blind", f"nobody can tell what happened to the containers: {record.unwatched}")
        return
    seen = record.watched_until or record.started_at
    gap = (record.until - seen).total_seconds()
    if gap > max(_BLIND_SECONDS, _BLIND_LOOKS * record.look_seconds) or record.watched_until is None:
        text = f"the sidecar was not there to see OOM kills and restarts, from {seen:%H:%M:%S} UTC, for {gap:.0f} s"
        yield InvalidReason("blind", text, seen, gap, _share(gap, record))


def warnings(moments: tuple[Moment, ...], limits: GeneratorLimits) -> Iterator[str]:
    """What is worth a word and breaks nothing."""
    most = max((moment.master_cpu_percent for moment in moments), default=0.0)
    if most >= limits.cpu_percent:
        yield f"the master was at {most:.0f} % of a core: its figures may lag"
