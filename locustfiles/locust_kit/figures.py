"""Locust's own statistics of a run as a document, `statistics.json`: what its page and its CSV files show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import SCHEMA_VERSION
from .texts import safe

if TYPE_CHECKING:
    from locust.stats import RequestStats, StatsEntry

FILE = "statistics.json"
_MOST_ENDPOINTS, _MOST_ERRORS = 2000, 200
_LONGEST = 2000


def document(run_id: str, stats: RequestStats, clean: Callable[[str], str] = str) -> dict[str, Any]:
    """The figures over all requests, of each method and name, and each error; `clean` takes secrets out of texts."""
    entries = sorted(stats.entries.values(), key=lambda one: -one.num_requests)[:_MOST_ENDPOINTS]
    errors = sorted(stats.errors.values(), key=lambda one: -one.occurrences)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "figures": _figures(stats.total),
        "endpoints": [
            {"method": safe(one.method or "", _LONGEST), "name": clean(safe(one.name, _LONGEST)), **_figures(one)}
            for one in entries
        ],
        "endpoints_left_out": len(stats.entries) - len(entries),
        "errors": [
            {
                "method": safe(one.method or "", _LONGEST),
                "name": clean(safe(one.name, _LONGEST)),
                "error": clean(safe(one.error, _LONGEST)),
                "occurrences": one.occurrences,
            }
            for one in errors[:_MOST_ERRORS]
        ],
        "errors_left_out": max(0, len(errors) - _MOST_ERRORS),
    }


def _figures(one: StatsEntry) -> dict[str, Any]:
    return {
        "requests": one.num_requests,
        "failures": one.num_failures,
        "fail_ratio": one.num_failures / one.num_requests if one.num_requests else 0.0,
        "requests_per_second": float(one.total_rps),
        "median_ms": one.median_response_time if one.num_requests else None,
        "p95_ms": one.get_response_time_percentile(0.95) if one.num_requests else None,
        "p99_ms": one.get_response_time_percentile(0.99) if one.num_requests else None,
        "max_ms": one.max_response_time if one.num_requests else None,
        "min_ms": one.min_response_time,
        "average_ms": one.avg_response_time,
    }
