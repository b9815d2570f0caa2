"""The run as locust_exporter exposes it, without that one's mistakes on today's Locust. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sidecar.model.snapshot import EndpointStats, Locust, Snapshot
from sidecar.views.exposition import Family, labels

_RUNNING = {"spawning": 1, "running": 2}
_Column = tuple[str, str, Callable[[EndpointStats], float | None]]
_LEGACY: _Column = ("current_fail_per_sec", "The same as ..._per_second.", lambda row: row.fail_per_second)
_ROW: tuple[_Column, ...] = (
    ("num_requests", "Requests of the run so far.", lambda row: row.requests),
    ("num_failures", "Failed requests of the run so far.", lambda row: row.failures),
    ("avg_response_time", "Average response time of the run, in ms.", lambda row: row.average_ms),
    ("min_response_time", "Shortest response time of the run, in ms.", lambda row: row.least_ms),
    ("max_response_time", "Longest response time of the run, in ms.", lambda row: row.most_ms),
    ("median_response_time", "Median response time of the run, in ms.", lambda row: row.p50_ms),
    ("current_rps", "Requests a second, over the last seconds.", lambda row: row.rps),
    ("current_fail_per_second", "Failed requests a second, over the last seconds.", lambda row: row.fail_per_second),
    ("avg_content_length", "Average length of an answer, in bytes.", lambda row: row.average_content_bytes),
)


def locust_families(snapshot: Snapshot | None, *, legacy: bool) -> list[Family]:
    """Make the families of the run; only `locust_up` when the master gives no figures."""
    locust = snapshot.locust if snapshot else None
    up = Family("locust_up", "gauge", "1 when the master answers with its figures, else 0.")
    up.add(int(locust is not None))
    if snapshot is None or locust is None:
        return [up]
    return [
        up,
        *_of_the_run(locust),
        *_workers(locust),
        *_rows(snapshot, locust, legacy=legacy),
        _errors(snapshot),
        _run_info(snapshot),
    ]


def _of_the_run(locust: Locust) -> list[Family]:
    values = (
        ("locust_running", "0 stopped, 1 spawning, 2 running.", _RUNNING.get(locust.state, 0)),
        ("locust_users", "Simulated users.", locust.users),
        ("locust_requests_fail_ratio", "Share of failed requests in the run, 0 to 1.", locust.fail_ratio),
        (
            "locust_requests_current_response_time_percentile_50",
            "Median response time of the last seconds, in ms.",
            locust.p50_ms,
        ),
        (
            "locust_requests_current_response_time_percentile_95",
            "95th percentile of the response times of the last seconds, in ms.",
            locust.p95_ms,
        ),
    )
    return [_single(name, "gauge", text, value) for name, text, value in values]


def _workers(locust: Locust) -> list[Family]:
    states = [worker.state for worker in locust.workers]
    values = (
        ("locust_workers_count", "Workers that the master hears.", locust.workers_connected),
        ("locust_workers_running_count", "Workers that run users.", states.count("running")),
        ("locust_workers_hatching_count", "Workers that start users.", states.count("spawning")),
        ("locust_workers_missing_count", "Workers that the master hears no more.", states.count("missing")),
    )
    # Untyped: a name that ends in _count is promised to histograms and summaries.
    return [_single(name, "untyped", text, value) for name, text, value in values]


def _rows(snapshot: Snapshot, locust: Locust, *, legacy: bool) -> list[Family]:
    rows = {(row.method, row.name): row for row in snapshot.endpoints}  # Prometheus takes no name twice
    if locust.total is not None:
        rows["", locust.total.name] = locust.total
    columns = (*_ROW, _LEGACY) if legacy else _ROW
    families = [Family(f"locust_requests_{name}", "gauge", text) for name, text, _ in columns]
    for row in rows.values():
        which = labels({"method": row.method, "name": row.name})
        for family, (_, _, value) in zip(families, columns, strict=True):
            family.add(value(row), which)
    return families


def _errors(snapshot: Snapshot) -> Family:
    family = Family("locust_errors", "gauge", "How often each failure occurred in the run.")
    occurrences = Counter[tuple[str, str, str, str]]()
    for failure in snapshot.failures:
        occurrences[failure.method, failure.name, failure.error, failure.failure_class] += failure.occurrences
    for (method, name, error, failure_class), count in occurrences.items():
        which = {"method": method, "name": name, "error": error}
        family.add(count, labels(which | ({"class": failure_class} if failure_class else {})))
    return family


def _run_info(snapshot: Snapshot) -> Family:
    family = Family("locust_run_info", "gauge", "1, with the run's id and its LABELS as labels: join the others to it.")
    if snapshot.run is not None:
        own = {label.name: label.value for label in snapshot.run.labels}
        family.add(1, labels({"run_id": snapshot.run.run_id, **own}))
    return family


def _single(name: str, kind: str, text: str, value: float | None) -> Family:
    family = Family(name, kind, text)
    family.add(value)
    return family
