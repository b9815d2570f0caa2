"""What the plugin takes of a worker's time, as it says itself."""

from __future__ import annotations

import itertools

from locust_kit.cost import Cost


def test_what_is_measured_stands_for_all_calls() -> None:
    cost = Cost(clock=itertools.count(5e-6, step=2e-6).__next__)
    cost.calls = 100
    for _ in range(4):
        cost.took(cost.clock())
    found = cost.document()
    assert (found["calls"], found["us_per_call"], found["seconds"]) == (100, 2.0, 0.0002)


def test_reports_are_counted_in_full() -> None:
    ticks = iter((1.0, 1.5))
    cost = Cost(clock=lambda: next(ticks))
    assert cost.measure(lambda: "report") == "report"
    assert cost.document()["report_seconds"] == 0.5
