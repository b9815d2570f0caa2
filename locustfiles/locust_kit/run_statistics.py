"""Locust's own statistics of a run as a document, `statistics.json`: what its page and its CSV files show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust.stats import RequestStats, StatsEntry

from locust_kit import SCHEMA_VERSION
from locust_kit.texts import safe

FILE = "statistics.json"
_MOST_ENDPOINTS, _MOST_ERRORS = 2000, 200
_LONGEST = 2000


def document(run_id: str, stats: RequestStats, clean: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the figures of all requests and of each method and name, and each error; `clean` removes secrets."""
    entries = sorted(stats.entries.values(), key=lambda entry: -entry.num_requests)[:_MOST_ENDPOINTS]
    errors = sorted(stats.errors.values(), key=lambda error: -error.occurrences)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "figures": _figures(stats.total),
        "endpoints": [
            {"method": safe(entry.method or "", _LONGEST), "name": clean(safe(entry.name, _LONGEST)), **_figures(entry)}
            for entry in entries
        ],
        "endpoints_left_out": len(stats.entries) - len(entries),
        "errors": [
            {
                "method": safe(error.method or "", _LONGEST),
                "name": clean(safe(error.name, _LONGEST)),
                "error": clean(safe(error.error, _LONGEST)),
                "occurrences": error.occurrences,
            }
            for error in errors[:_MOST_ERRORS]
        ],
        "errors_left_out": max(0, len(errors) - _MOST_ERRORS),
    }


def _figures(stats_entry: StatsEntry) -> dict[str, Any]:
    return {
        "requests": stats_entry.num_requests,
        "failures": stats_entry.num_failures,
        "fail_ratio": stats_entry.num_failures / stats_entry.num_requests if stats_entry.num_requests else 0.0,
        "requests_per_second": float(stats_entry.total_rps),
        "median_ms": stats_entry.median_response_time if stats_entry.num_requests else None,
        "p95_ms": stats_entry.get_response_time_percentile(0.95) if stats_entry.num_requests else None,
        "p99_ms": stats_entry.get_response_time_percentile(0.99) if stats_entry.num_requests else None,
        "max_ms": stats_entry.max_response_time if stats_entry.num_requests else None,
        "min_ms": stats_entry.min_response_time,
        "average_ms": stats_entry.avg_response_time,
    }
