"""What the plugin takes of a worker's time, as it says itself."""

from __future__ import annotations

import itertools
import time

import gevent
import pytest
from gevent.event import Event
from locust_kit.cost import LONGEST_SECONDS, Cost


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


def test_a_report_lets_users_go_on_for_a_while_and_then_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = [0.0], []
    monkeypatch.setattr(gevent, "sleep", lambda _: pauses.append(now[0]))
    cost = Cost(clock=lambda: now[0])

    def report() -> None:
        while now[0] < 10 * LONGEST_SECONDS:
            now[0] += 0.1  # as long as the users of a busy worker take in between
            cost.pause()

    for _ in range(2):  # each report has as long
        now[0] = 0.0
        pauses.clear()
        cost.measure(report)
        assert LONGEST_SECONDS - 1 < pauses[-1] < LONGEST_SECONDS


def test_what_sockets_bring_is_heard_between_two_slices_of_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locust_kit.cost.SLICE_SECONDS", 0.0)
    cost, heard = Cost(), Event()
    watcher = gevent.get_hub().loop.timer(0.001)
    watcher.start(heard.set)
    turns = 0

    def report() -> None:
        nonlocal turns
        while not heard.is_set():
            cost.pause()
            turns += 1
            time.sleep(0.001)

    cost.measure(report)
    watcher.close()
    assert turns < 10  # after a sleep of 0 seconds gevent comes back fifty times before it looks
