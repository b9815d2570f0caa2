"""Everything about a run → one document (report.json), from which each kind of report is made. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from sidecar.common.redaction import Redactor
from sidecar.common.times import format_time
from sidecar.model.history import RecordedSeries, SeriesPoint
from sidecar.model.incident import Incident
from sidecar.model.run_arguments import MASK, in_words
from sidecar.model.run_record import Moment, RunRecord
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.report.verdict import account, attribution, capacity, counts, goodbye, reasons, stalls
from sidecar.report.verdict.judge import EXIT_PASS, judge, judged_document
from sidecar.report.verdict.rate import PACING

SCHEMA_VERSION = 1

_POINTS = 300
_MOST_GROUPS, _MOST_EXAMPLES = 50, 2
_FEW_INCIDENTS = 100
_MANY_USERS = (2, 5, 10)  # multiples of the run's own users


def make(
    record: RunRecord, project: str, cores: int | None = None, kit_version: str = "", users: int = 0
) -> dict[str, Any]:
    """Return the document of a run.

    Args:
        record: the run's record.
        project: the Compose project.
        cores: CPU cores of the machine; None if unknown.
        kit_version: this kit's own version.
        users: a number of users to size for; 0: multiples of the run's own number.
    """
    verdict = judge(record)
    criteria = verdict.criteria
    return {
        "schema_version": SCHEMA_VERSION,
        "project": project,
        "run_id": record.run_id,
        "state": _state(record),
        "settled": record.settled,
        "labels": dict(record.begin.get("labels") or {}),
        "verdict": verdict.word,
        "exit_code": verdict.exit_code,
        "passed": verdict.exit_code == EXIT_PASS,
        "reasons": list(verdict.reasons),
        "warnings": [
            *([criteria.problem] if criteria.problem else []),
            *reasons.warnings(record.moments, criteria.limits),
            *stalls.warnings(record, criteria.limits),
            *account.warnings(record),
            *counts.full_disks(record),
        ],
        **({"unknown": sorted(record.unknown)} if record.unknown else {}),
        "judged": judged_document(verdict),
        "started_at": format_time(record.started_at),
        "ended_at": format_time(record.until),
        "duration_seconds": round(record.seconds, 1),
        "settings": _settings(record, criteria.fail_ratio),
        **({"arguments": dict(record.begin["arguments"])} if "arguments" in record.begin else {}),
        **_requests(record),
        "account": account.account(record, verdict.unanswered),
        **_users(record),
        **_course(record),
        "capacity": _capacity(record, cores, users),
        **_origin(record, project, kit_version),
    }


def _requests(record: RunRecord) -> dict[str, Any]:
    """Return the figures of the requests."""
    return {
        "figures": {**_NO_FIGURES, **record.figures, **_of_tasks(record)},
        "endpoints": list(record.statistics.get("endpoints") or []),
        "endpoints_left_out": int(record.statistics.get("endpoints_left_out") or 0),
        "after_the_end": _after_the_end(record),
        "failures": list(record.statistics.get("errors") or []),
        "failure_classes": dict(record.groups.get("classes") or {}),
        "failures_in_others": int(record.groups.get("in_others") or 0),
        "failure_groups": [
            {**group, "examples": list(group.get("examples") or [])[:_MOST_EXAMPLES]}
            for group in (record.groups.get("groups") or [])[:_MOST_GROUPS]
        ],
        "failure_groups_left_out": max(0, len(record.groups.get("groups") or []) - _MOST_GROUPS),
        "times": _times(record.performance),
        "retries": int(record.end.get("retries") or 0),
    }


def failure_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of failures of a report, the largest first, each with its share (0 to 1) and one line of text.

    Without the plugin's groups, each error text of Locust is a row.
    """
    failures = int(document["figures"]["failures"])
    groups = [
        {**group, "what": f"{group['class']} {group.get('detail') or ''}".rstrip(), "text": group["message"]}
        for group in document.get("failure_groups") or []
        if "name" in group
    ]
    by_locust = [
        {**row, "count": int(row["occurrences"]), "share": row["occurrences"] / failures, "text": row["error"]}
        for row in document["failures"]
        if failures
    ]
    return [
        {
            "count": row["count"],
            "share": float(row.get("share") or 0.0),
            "request": f"{row.get('method') or ''} {row['name']}".strip(" "),
            "text": ": ".join(filter(None, (row.get("what"), str(row["text"] or "")))),
        }
        for row in groups or by_locust
    ]


def _after_the_end(record: RunRecord) -> dict[str, Any]:
    """Return the requests after the end of the load: they are in no figure."""
    after = goodbye.after_the_end(record)
    names = ("method", "name", "requests", "failures", "max_ms")
    rows = [{name: row.get(name) for name in names} for row in after.get("endpoints") or ()]
    return {
        "seconds": round(max(0.0, (record.until - record.load_until).total_seconds()), 1),
        **{name: int(after.get(name) or 0) for name in ("requests", "failures", "users_cut_off")},
        "endpoints": [{**row, "fail_ratio": row["failures"] / row["requests"]} for row in rows if row["requests"]],
        "errors": list(after.get("errors") or ()),
    }


def _of_tasks(record: RunRecord) -> dict[str, Any]:
    """Return the figures over all task runs; None if they were not counted."""
    errors, known = counts.task_errors(record), counts.USERS in record.meters
    return {
        "task_runs": errors.runs if known else None,
        "task_errors": errors.count,
        "task_error_ratio": round(errors.ratio, 6) if known else None,
    }


def _users(record: RunRecord) -> dict[str, Any]:
    """Return users by class, runs by task, and the rates that were planned, as the workers counted them."""
    meter, most = record.meters.get(counts.USERS) or {}, record.end.get("users_by_class") or {}
    tasks = sorted((meter.get("tasks") or {}).items(), key=lambda task: -int(task[1].get("runs") or 0))
    schedules = ((record.meters.get(PACING) or {}).get("schedules") or {}).items()
    return {
        "users_by_class": most,
        "users": [
            {"name": name, "most_users": int(most.get(name) or 0), **{key: int(of.get(key) or 0) for key in _ENDINGS}}
            for name, of in (meter.get("classes") or {}).items()
        ],
        "tasks": [{"name": name, **{key: int(of.get(key) or 0) for key in ("runs", "errors")}} for name, of in tasks],
        "rates": [
            {
                "name": name,
                **{key: float(of.get(key) or 0) for key in ("pacing_seconds", "planned", "begun")},
                "rate_kept": round(float(of.get("begun") or 0) / planned, 4) if (planned := of.get("planned")) else 1.0,
            }
            for name, of in schedules
        ],
    }


def _course(record: RunRecord) -> dict[str, Any]:
    """Return the timeline of users, workers and containers, and the attribution of the failures."""
    breaking = reasons.breaking(record)
    beside = [attribution.attribute(incident, record.moments, record.until) for incident in breaking]
    attributed = [of_incident for of_incident in beside if of_incident]
    gist = attribution.gist(
        int(record.figures.get("failures") or 0),
        attributed,
        incidents=len(breaking),
        of_generator=int((record.groups.get("classes") or {}).get("generator") or 0),
        watched=not record.unwatched,
    )
    return {
        "workers": _workers(record),
        "timeline": timeline(_with_last_counts(record), _POINTS),
        "generators": [_generator(series) for series in record.series if series.service in {MASTER, WORKER}],
        "incidents": _incidents(record, breaking, attributed),
        "attribution": {"text": gist, "incidents": [asdict(of_incident) for of_incident in attributed]},
    }


def _origin(record: RunRecord, project: str, kit_version: str) -> dict[str, Any]:
    """Return files and versions of the run, and the command that repeats it."""
    locustfile, versions = record.begin.get("locustfile") or {}, record.begin.get("versions") or {}
    return {
        "locustfile": {"sha256": "", **locustfile, "files": list(locustfile.get("files") or [])},
        "locust_version": versions.get("locust", ""),
        "versions": {**versions, "kit": kit_version},
        "repeat": _repeat(record, project),
    }


_ENDINGS = ("made", "not_made", "died", "finished", "stopped")
_NO_FIGURES: dict[str, Any] = {
    "requests": 0,
    "failures": 0,
    "fail_ratio": 0.0,
    "requests_per_second": 0.0,
    **dict.fromkeys(("median_ms", "p95_ms", "p99_ms", "max_ms", "min_ms", "average_ms")),
}


def _state(record: RunRecord) -> str:
    if record.ended_at is not None:
        return "ended"
    return "going" if record.is_running else "broke off"


def _host(record: RunRecord) -> str:
    """Return the target without secrets. Runs of earlier versions have it as it was given."""
    return Redactor().text(str(record.begin.get("host") or ""))


def _settings(record: RunRecord, fail_ratio: float | None) -> dict[str, Any]:
    plan, begin, load = record.plan, record.begin, _load(record)
    return {
        "users": load.get("users"),
        "spawn_rate_per_second": load.get("spawn_rate_per_second"),
        "run_time_seconds": load.get("run_time_seconds") or 0,
        "fail_ratio_limit": fail_ratio,
        "host": _host(record),
        "classes": list(begin.get("user_classes") or []),
        "tags": list(plan.get("tags") or []),
        "exclude_tags": list(plan.get("exclude_tags") or []),
        "shape_class": plan.get("shape_class"),
        "locustfile": plan.get("locustfile") or "",
        **({"attached": begin["attached"]} if "attached" in begin else {}),
    }


def _load(record: RunRecord) -> Mapping[str, Any]:
    """Return the requested users, rate and time; what a load shape could read is in a part of its own."""
    return record.plan.get("shape_options") or record.plan


def _times(performance: Mapping[str, Any]) -> dict[str, Any]:
    """Return successful and failed requests separately. The buckets stay in performance.json."""
    rows = [
        {
            **{name: endpoint.get(name) for name in ("method", "name", "slow", "slow_ms")},
            **{
                part: {name: value for name, value in (endpoint.get(part) or {}).items() if name != "buckets"}
                for part in ("good", "failed")
            },
        }
        for endpoint in performance.get("endpoints") or []
    ]
    return {
        "slow_is_over_ms": performance.get("slow_is_over_ms"),
        "quantiles": performance.get("quantiles", ""),
        "endpoints": rows,
        "bottlenecks": list(performance.get("bottlenecks") or []),
    }


def _with_last_counts(record: RunRecord) -> tuple[Moment, ...]:
    """Return the seconds of the load; reports after its end count for the last second."""
    of_load = record.load_moments
    return (*of_load[:-1], replace(of_load[-1], classes=record.moments[-1].classes)) if of_load else ()


def _workers(record: RunRecord) -> dict[str, Any]:
    counts = asdict(record.workers)
    names = ("at_start", "at_end", "lost", "left", "users_at_end", "most_users")
    return {**{name: counts[name] for name in names}, "lost": sorted(counts["lost"])}


def timeline(moments: Sequence[Moment], most: int) -> dict[str, Any]:
    """Return a run's seconds as columns with a limited number of steps, each of whole seconds.

    Users and times are the highest of a step, rates the mean. `failures` are those of each step, by class.
    """
    begun = moments[0].at if moments else None
    span = (moments[-1].at - begun).total_seconds() if begun else 0.0
    step = max(1, -(-int(span + 1) // most))
    groups: dict[int, list[Moment]] = {}
    for moment in moments:
        groups.setdefault(int((moment.at - moments[0].at).total_seconds() // step), []).append(moment)
    steps = [groups[number] for number in sorted(groups)]

    def column(combine: Callable[[list[Any]], object], name: str) -> list[object]:
        return [combine([getattr(moment, name) for moment in moments_of_step]) for moments_of_step in steps]

    return {
        "step_seconds": float(step) if moments else 0.0,
        "at": [format_time(begun + timedelta(seconds=number * step)) for number in sorted(groups)] if begun else [],
        "users": column(max, "users"),
        "rps": column(_mean, "rps"),
        "fail_per_second": column(_mean, "fail_per_second"),
        "p50_ms": column(_most, "p50_ms"),
        "p95_ms": column(_most, "p95_ms"),
        "workers": column(min, "workers"),
        "cpu_percent": column(max, "cpu_percent"),
        "failures": _by_class([moments_of_step[-1].classes for moments_of_step in steps]),
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 2)


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _by_class(counts: Sequence[Mapping[str, int]]) -> dict[str, list[int]]:
    """Return the failures of each class and step, from the counts at the ends of the steps."""
    columns = {}
    for name in sorted({name for part in counts for name in part}):
        totals = [int(part.get(name, 0)) for part in counts]
        columns[name] = [now - before if now >= before else now for before, now in pairwise([0, *totals])]
    return dict(sorted(columns.items(), key=lambda column: -sum(column[1])))


def _generator(series: RecordedSeries) -> dict[str, Any]:
    """Return one container of master or workers: limits, peaks, and figures over time."""
    points = series.points
    known = [point.cpu_percent for point in points if point.cpu_percent is not None]
    return {
        "container": series.name,
        "service": series.service,
        "index": series.index,
        "cpu_mean_percent": round(sum(known) / len(known), 1) if known else None,
        "cpu_max_percent": max((point.cpu_max_percent for point in points if point.cpu_max_percent), default=None),
        "throttled_max_percent": _most([point.throttled_percent for point in points]),
        "memory_max_bytes": max((point.working_set_max_bytes for point in points), default=None),
        "memory_limit_bytes": max((point.limit_bytes for point in points if point.limit_bytes), default=None),
        "at": [format_time(point.at) for point in points],
        "memory_bytes": [point.working_set_max_bytes for point in points],
        "cpu_percent": _rounded(points, "cpu_percent"),
        "throttled_percent": _rounded(points, "throttled_percent"),
    }


def _rounded(points: Sequence[SeriesPoint], name: str) -> list[float | None]:
    return [None if (value := getattr(point, name)) is None else round(value, 1) for point in points]


def _incidents(
    record: RunRecord, breaking: Sequence[Incident], attributed: Sequence[attribution.Attributed]
) -> list[dict[str, Any]]:
    breaking_ids, by_id = {incident.id for incident in breaking}, {share.incident: share for share in attributed}
    shown = sorted(record.incidents, key=lambda incident: (incident.id not in breaking_ids, incident.at))
    return [
        _incident(incident, by_id.get(incident.id), breaks=incident.id in breaking_ids)
        for incident in sorted(shown[:_FEW_INCIDENTS], key=lambda incident: incident.at)
    ]


def _incident(incident: Incident, attributed: attribution.Attributed | None, *, breaks: bool) -> dict[str, Any]:
    return {
        "id": incident.id,
        "kind": str(incident.kind),
        "severity": str(incident.severity),
        "at": format_time(incident.at),
        "until": format_time(incident.until) if incident.until else None,
        **{name: getattr(incident, name) for name in ("text", "service", "container", "count")},
        "breaks_the_run": breaks,
        "attribution": attributed.text if attributed else None,
        "person_note": incident.person_note,
    }


def _capacity(record: RunRecord, cores: int | None, users: int) -> dict[str, Any] | None:
    measured = capacity.measure(record.moments, record.series)
    if measured is None:
        return None
    limits = [
        point.limit_bytes
        for series in record.series
        if series.service == WORKER
        for point in series.points
        if point.limit_bytes
    ]
    wanted = [users] if users else [measured.users * times for times in _MANY_USERS]
    advice = [capacity.advise(measured, count, max(limits, default=None), cores) for count in wanted]
    return {
        "measured": {
            name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(measured).items()
        },
        "memory_limit_bytes": max(limits, default=None),
        "cores": cores,
        "advice": [{**asdict(advised), "settings": advised.settings} for advised in advice],
    }


def _repeat(record: RunRecord, project: str) -> str:
    """Return the command that repeats the run."""
    load, shape = _load(record), record.plan.get("shape_class")
    rate = load.get("spawn_rate_per_second")
    rate = None if rate is None else f"{float(rate):g}"
    words = {"USERS": load.get("users"), "SPAWN_RATE": rate, "RUN_TIME": load.get("run_time_seconds") or 0}
    settings = {
        "SHAPE": shape or ("none" if record.plan.get("shapes") else None),
        **({} if load is record.plan and shape else words),
        "HOST": _host(record),
        "THRESHOLDS": (record.begin.get("judge") or {}).get("thresholds"),
        "PROJECT": project if project != "locust" else None,
    }
    arguments = record.begin.get("arguments") or {}
    settings |= {name: in_words(value) for name, value in arguments.items() if value != MASK}
    given = [f"{name}={shlex.quote(str(value))}" for name, value in settings.items() if value not in (None, "")]
    return " ".join(["make run", *given])
