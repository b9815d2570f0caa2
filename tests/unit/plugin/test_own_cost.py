"""What the plugin takes of a worker's time, as it says itself."""

from __future__ import annotations

import itertools

from locust_kit.cost import EVERY, Cost


def test_one_call_of_many_is_measured_and_stands_for_all() -> None:
    ticks = itertools.count(step=2e-6)
    cost, heard = Cost(clock=lambda: next(ticks)), []
    listener = cost.sampled(lambda **passed: heard.append(passed["name"]))
    for number in range(10 * EVERY):
        listener(name=number)
    found = cost.document()
    assert heard == list(range(10 * EVERY)), "each call reaches the listener once"
    assert (cost.measured, found["calls"], found["us_per_call"]) == (10, 10 * EVERY, 2.0)
    assert found["seconds"] == round(2e-6 * 10 * EVERY, 4)


def test_reports_are_counted_in_full() -> None:
    ticks = iter((1.0, 1.5))
    cost = Cost(clock=lambda: next(ticks))
    assert cost.whole(lambda: "report") == "report"
    assert cost.document()["report_seconds"] == 0.5
