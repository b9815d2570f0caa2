"""A real master and two workers whose failures all have other texts and names: what is kept is small, sums exact."""

from __future__ import annotations

from tests.bench import million
from tests.bench.million import Leftovers

FAILURES, NAMES = 20_000, 8000
MOST_BYTES = {
    "failure_groups.json": 3_000_000,
    "failures.ndjson": 3_000_000,
    "failure_analysis.csv": 3_000_000,
    "performance.json": 3_000_000,
    "statistics.json": 2_000_000,
    "locust_failures.csv": 1_500_000,
    "locust_stats.csv": 1_000_000,
    "locust_report.html": 6_000_000,
}


def check(left: Leftovers, failures: int) -> None:
    """Check what is left of a run."""
    counted, names, errors = left.counted
    assert (counted, left.in_groups) == (failures, failures)
    assert 1000 < names <= 4000
    assert 500 < errors <= 2500
    assert {name: left.file_bytes[name] for name, most in MOST_BYTES.items() if left.file_bytes[name] > most} == {}


def test_texts_and_names_without_end_leave_little_and_every_failure_counts() -> None:
    check(million.measured(FAILURES, NAMES, seconds=300), FAILURES)
