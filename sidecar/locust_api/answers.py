"""Read the answers of the Locust master and of the kit's plugin into observations. Pure; trusts no answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sidecar.common.times import docker_time
from sidecar.common.visible_text import visible
from sidecar.model.observation import MasterStats, PluginStatus
from sidecar.model.snapshot import MISSING, EndpointStats, Failure, RunLabel, RunStatus, Worker, is_label_name

Payload = Mapping[str, Any]  # JSON of the master; each value is checked where it is read

ROWS = 20  # of failures and of endpoints: what fits a screen, the most frequent first
_TEXT_CHARACTERS = 300
_LARGEST = 2.0**53
_AGGREGATED = "Aggregated"


def parse_stats(answer: Payload) -> MasterStats:
    """Read `/stats/requests`. A missing or invalid figure counts as zero, a percentile as unknown."""
    rows = _objects(answer.get("stats"))
    total = next((row for row in rows if row.get("name") == _AGGREGATED), {})
    workers = tuple(
        Worker(
            id=_text(worker.get("id", "?")),
            container=None,  # not known to the master
            state=_text(worker.get("state", "?")),
            users=_whole(worker.get("user_count")),
            cpu_percent=_number(worker.get("cpu_usage")),
            memory_bytes=_whole(worker.get("memory_usage")),
        )
        for worker in _objects(answer.get("workers"))
    )
    failures = [_failure(row, "error", "occurrences", _moment) for row in _objects(answer.get("errors"))]
    return MasterStats(
        state=_text(answer.get("state", "unknown")),
        users=_whole(answer.get("user_count")),
        rps=_number(answer.get("current_rps", answer.get("total_rps"))),
        fail_per_second=_number(answer.get("current_fail_per_sec")),
        fail_ratio=_number(answer.get("fail_ratio")),
        p50_ms=_response_time(answer, total, 0.5, "median_response_time"),
        p95_ms=_response_time(answer, total, 0.95, "response_time_percentile_0.95"),
        workers_connected=sum(1 for worker in workers if worker.state != MISSING),
        workers=workers,
        failures=tuple(sorted(failures, key=lambda failure: -failure.occurrences)[:ROWS]),
        endpoints=_endpoints([row for row in rows if row is not total]),
        total=_endpoint(total) if total else None,
    )


def _failure(row: Payload, error: str, count: str, moment: Callable[[Any], datetime | None]) -> Failure:
    """Read a row of the master's errors, or a group of the plugin. Only a group has a class."""
    return Failure(
        method=_text(row.get("method") or ""),
        name=_text(row.get("name") or ""),
        error=_text(row.get(error) or ""),
        occurrences=_whole(row.get(count)),
        first_seen=moment(row.get("first_seen")),
        last_seen=moment(row.get("last_seen")),
        failure_class=_text(row.get("class") or ""),
        detail=_text(row.get("detail") or ""),
        trace_id=_text(row.get("trace_id") or ""),
        trace_url=_text(row.get("trace_url") or ""),
    )


def _endpoints(rows: list[Payload]) -> tuple[EndpointStats, ...]:
    busiest = sorted(rows, key=lambda row: -_number(row.get("num_requests")))[:ROWS]
    return tuple(_endpoint(row) for row in busiest)


def _endpoint(row: Payload) -> EndpointStats:
    requests = _whole(row.get("num_requests"))

    def time_ms(key: str) -> float | None:
        return _optional(row.get(key)) if requests else None

    return EndpointStats(
        method=_text(row.get("method") or ""),
        name=_text(row.get("name") or ""),
        requests=requests,
        failures=_whole(row.get("num_failures")),
        rps=_number(row.get("current_rps")),
        p95_ms=time_ms("response_time_percentile_0.95"),
        fail_per_second=_number(row.get("current_fail_per_sec")),
        p50_ms=time_ms("median_response_time"),
        average_ms=time_ms("avg_response_time"),
        least_ms=time_ms("min_response_time"),
        most_ms=time_ms("max_response_time"),
        average_content_bytes=time_ms("avg_content_length"),
    )


def _response_time(answer: Payload, total: Payload, wanted: float, of_whole_run: str) -> float | None:
    """Return the percentile of the last seconds, or else of the whole run; None before the first request."""
    if not _number(total.get("num_requests")):
        return None
    current = _percentile(answer, wanted)
    return _optional(total.get(of_whole_run)) if current is None else current


def _percentile(answer: Payload, wanted: float) -> float | None:
    """Find a current percentile by the number its key ends in: `..._0.95` today, `..._95` before 2024."""
    current = answer.get("current_response_time_percentiles")
    for key, value in (current if isinstance(current, dict) else answer).items():
        tail = str(key).rpartition("percentile_")[2]
        try:
            number = float(tail)
        except ValueError:
            continue
        if number in (wanted, wanted * 100):
            return _optional(value)
    return None


def parse_plugin(answer: Payload) -> PluginStatus:
    """Read `/locust-kit/status`. Any field may be missing."""
    run, locustfile, workers = answer.get("run"), answer.get("locustfile"), answer.get("workers")
    return PluginStatus(
        run=RunStatus(
            run_id=_text(run.get("run_id", "?")),
            state=_text(run.get("state", "?")),
            started_at=docker_time(run.get("started_at")),
            labels=_labels(run.get("labels")),
        )
        if isinstance(run, dict)
        else None,
        master_changed=_changed(locustfile),
        workers_changed={
            _text(worker): _changed(entry) for worker, entry in (workers if isinstance(workers, dict) else {}).items()
        },
        processes={
            _text(worker): max(1, _whole(entry.get("processes")))
            for worker, entry in _object(workers).items()
            if isinstance(entry, dict)
        },
        failures=_groups(answer.get("failures")),
        judge=_object(answer.get("judge")),
        meters={_text(name): meter for name, meter in _object(answer.get("meters")).items() if isinstance(meter, dict)},
        failure_groups=_object(answer.get("failures")),
        record_error=_text(answer.get("record_error") or ""),
        users_by_class={_text(name): _whole(of) for name, of in _object(answer.get("users_by_class")).items()},
    )


def _labels(value: object) -> tuple[RunLabel, ...]:
    labels = value.items() if isinstance(value, dict) else ()
    return tuple(RunLabel(name, _text(text)) for name, text in labels if is_label_name(name))


def _groups(failures: object) -> tuple[Failure, ...]:
    groups = _objects(failures.get("groups")) if isinstance(failures, dict) else []
    return tuple(_failure(group, "message", "count", docker_time) for group in groups[:ROWS])


def _changed(entry: object) -> tuple[str, ...]:
    names = entry.get("changed_on_disk") if isinstance(entry, dict) else None
    return tuple(_text(name) for name in (names if isinstance(names, list) else []))


def _object(value: object) -> Payload:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Payload]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a text for display. Cleaning costs time, so an absurdly long text is cut first."""
    text = value if isinstance(value, str) else str(value)[:_TEXT_CHARACTERS]
    return visible(text[:_TEXT_CHARACTERS])


def _optional(value: object) -> float | None:
    """Return a number; None for any other value, for Infinity and for NaN."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _number(value: object) -> float:
    return _optional(value) or 0.0


def _whole(value: object) -> int:
    """Return a count between zero and the largest number that a column of the ledger can hold."""
    return int(max(0.0, min(_number(value), _LARGEST)))


def _moment(value: object) -> datetime | None:
    """Read a time that Locust wrote as seconds since 1970."""
    seconds = _optional(value)
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
