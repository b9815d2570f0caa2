"""Locust's own statistics of a run as the document `statistics.json`, without requests after the end of the load.

Rates are per second of the load, by the master's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import reduce
from types import MappingProxyType
from typing import Any

from locust.stats import RequestStats, StatsEntry, StatsError

from locust_kit import SCHEMA_VERSION
from locust_kit.failures.mask import masked
from locust_kit.locust_tables import calls
from locust_kit.meters.stopping import together
from locust_kit.run_folder import rfc3339
from locust_kit.texts import LONGEST_NAME, OTHERS, safe

FILE = "statistics.json"
_MOST_ENDPOINTS, _MOST_ERRORS, _MOST_METHODS = 2000, 200, 20
_MOST_STEPS = 7200

Document = dict[str, Any]


def document(
    run_id: str,
    stats: RequestStats,
    seconds: float,
    after_the_end: Mapping[str, Any],
    clean: Callable[[str], str] = str,
    span: tuple[float, float] = (0.0, 0.0),
    left_out_before: Mapping[str, int] = MappingProxyType({}),
) -> Document:
    """Return the figures of all requests and of each method and name, and each error; `clean` removes secrets.

    `span` is start and end of the load in seconds since 1970; `seconds` is its length by a steady clock.

    Only the most frequent names have rows of their own. The others are in a row `(others)` for each method.
    `left_out_before` counts, by method, the names that Locust's own table already has in such a row.
    """
    after = _after_the_end(stats, after_the_end)
    counted = (_less(entry, after.get((entry.name, entry.method or ""))) for entry in stats.entries.values())
    entries = sorted((entry for entry in counted if entry.num_requests), key=_rank)
    named = sum(entry.name != OTHERS for entry in entries)
    kept, left_out = entries[: min(_MOST_ENDPOINTS, named)], entries[min(_MOST_ENDPOINTS, named) :]
    others = _others(left_out, seconds, left_out_before)
    errors = _errors(stats, after_the_end)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "seconds": round(seconds, 3),
        "figures": total(stats, seconds, after_the_end),
        "over_time": _over_time(stats.total, *span),
        "endpoints": [
            *(
                {
                    "method": safe(entry.method or "", LONGEST_NAME),
                    "name": clean(safe(entry.name, LONGEST_NAME)),
                    **_figures(entry, seconds),
                }
                for entry in kept
            ),
            *others,
        ],
        "endpoints_left_out": sum(row["names"] for row in others),
        "errors": [
            {
                "method": method,
                "name": clean(name),
                "error": clean(error),
                "occurrences": count,
            }
            for (method, name, error), count in errors[:_MOST_ERRORS]
        ],
        "errors_left_out": max(0, len(errors) - _MOST_ERRORS),
    }


def _after_the_end(stats: RequestStats, after_the_end: Mapping[str, Any]) -> dict[tuple[str, str], Document]:
    """Return the counts from after the end of the load, by the row of Locust's table that holds them."""
    after: dict[tuple[str, str], Document] = {}
    for row in after_the_end.get("endpoints") or ():
        keys = ((row["name"], row["method"]), (OTHERS, row["method"]), (OTHERS, OTHERS))
        key = next((key for key in keys if key in stats.entries), keys[0])
        after[key] = together(after[key], row) if key in after else row
    return after


def total(stats: RequestStats, seconds: float, after_the_end: Mapping[str, Any]) -> Document:
    """Return the figures over all requests of the load."""
    rows = after_the_end.get("endpoints") or ()
    return _figures(_less(stats.total, reduce(together, rows) if rows else None), seconds)


def _over_time(entry: StatsEntry, since: float, until: float) -> Document:
    """Return how many requests ended and failed in each step of the load, by the workers' clocks.

    A step is one second, in a long run more. Reports reach the master up to three seconds later.
    """
    first, last = int(since), int(until)
    step = (last - first) // _MOST_STEPS + 1

    def column(by_second: Mapping[int, int]) -> list[int]:
        counts = [0] * ((last - first) // step + 1)
        for second, count in by_second.items():
            if first <= second <= last:
                counts[(int(second) - first) // step] += count
        return counts

    return {
        "from": rfc3339(datetime.fromtimestamp(first, UTC)),
        "step_seconds": step,
        "requests": column(entry.num_reqs_per_sec),
        "failures": column(entry.num_fail_per_sec),
    }


def _errors(stats: RequestStats, after_the_end: Mapping[str, Any]) -> list[tuple[tuple[str, str, str], int]]:
    """Return the count of each error in the load, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for error in stats.errors.values():
        counts[_key(error.method, error.name, StatsError.parse_error(error.error))] += error.occurrences
    for row in after_the_end.get("errors") or ():
        keys = (_key(*call) for call in calls(row["method"], row["name"], row["error"], masked))
        if key := next((key for key in keys if key in counts), None):
            counts[key] -= row["occurrences"]
    return [(error, count) for error, count in counts.most_common() if count > 0]


def _key(*parts: str | None) -> tuple[str, str, str]:
    """Return method, name and error, cut to the length in a worker's report about requests after the end."""
    method, name, error = (safe(part or "", LONGEST_NAME) for part in parts)
    return method, name, error


def _less(entry: StatsEntry, after: Mapping[str, Any] | None) -> StatsEntry:
    """Return the entry without the requests after the end. Its minimum and maximum may then be rounded."""
    if after is None:
        return entry
    rest = StatsEntry(entry.stats, entry.name, entry.method)
    rest.num_requests = max(0, entry.num_requests - after["requests"])
    rest.num_none_requests = max(0, entry.num_none_requests - after["requests_without_time"])
    rest.num_failures = max(0, entry.num_failures - after["failures"])
    rest.total_response_time = max(0, entry.total_response_time - after["total_ms"])
    left = {time: count - after["times"].get(time, 0) for time, count in entry.response_times.items()}
    rest.response_times.update({time: count for time, count in left.items() if count > 0})
    is_shortest_apart = after["min_ms"] is not None and entry.min_response_time == after["min_ms"]
    rest.min_response_time = min(rest.response_times, default=None) if is_shortest_apart else entry.min_response_time
    is_longest_apart = entry.max_response_time == after["max_ms"]
    rest.max_response_time = max(rest.response_times, default=0) if is_longest_apart else entry.max_response_time
    return rest


def _rank(entry: StatsEntry) -> tuple[bool, int]:
    return entry.name == OTHERS, -entry.num_requests


def _others(left_out: Iterable[StatsEntry], seconds: float, before: Mapping[str, int]) -> list[Document]:
    by_method: dict[str, list[StatsEntry]] = {}
    for entry in left_out:
        method = safe(entry.method or "", LONGEST_NAME)
        is_known = method in by_method or len(by_method) < _MOST_METHODS
        by_method.setdefault(method if is_known else OTHERS, []).append(entry)
    names = {method: sum(entry.name != OTHERS for entry in entries) for method, entries in by_method.items()}
    return [
        {"method": method, "name": OTHERS, "names": names[method] + before.get(method, 0), **_sums(entries, seconds)}
        for method, entries in by_method.items()
    ]


def _sums(entries: list[StatsEntry], seconds: float) -> Document:
    """Return the figures of several entries together; their percentiles are in performance.json."""
    requests, failures = sum(entry.num_requests for entry in entries), sum(entry.num_failures for entry in entries)
    timed = requests - sum(entry.num_none_requests for entry in entries)
    shortest = [entry.min_response_time for entry in entries if entry.min_response_time is not None]
    return {
        "requests": requests,
        "failures": failures,
        "fail_ratio": failures / requests if requests else 0.0,
        "requests_per_second": _rate(requests, seconds),
        **dict.fromkeys(("median_ms", "p95_ms", "p99_ms")),
        "max_ms": max(entry.max_response_time for entry in entries),
        "min_ms": min(shortest, default=None),
        "average_ms": sum(entry.total_response_time for entry in entries) / timed if timed else None,
    }


def _figures(stats_entry: StatsEntry, seconds: float) -> Document:
    requests = stats_entry.num_requests
    return {
        "requests": requests,
        "failures": stats_entry.num_failures,
        "fail_ratio": stats_entry.num_failures / requests if requests else 0.0,
        "requests_per_second": _rate(requests, seconds),
        "median_ms": stats_entry.median_response_time if requests else None,
        "p95_ms": stats_entry.get_response_time_percentile(0.95) if requests else None,
        "p99_ms": stats_entry.get_response_time_percentile(0.99) if requests else None,
        "max_ms": stats_entry.max_response_time if requests else None,
        "min_ms": stats_entry.min_response_time,
        "average_ms": stats_entry.avg_response_time,
    }


def _rate(requests: int, seconds: float) -> float:
    return requests / seconds if seconds > 0 else 0.0
