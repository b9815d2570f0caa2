"""The figures of a run's load: without what came after its end, over its time, and whole with any number of names."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from locust import User
from locust.env import Environment
from locust.event import Events
from locust.stats import RequestStats, StatsError
from locust_kit import run_statistics
from locust_kit.failures.counters import RequestCounters
from locust_kit.load_clock import LoadClock
from locust_kit.meters.stopping import AfterTheEnd, Stopping, together
from locust_kit.run_statistics import document
from locust_kit.texts import OTHERS


class Unspeakable(Exception):  # noqa: N818
    def __repr__(self) -> str:
        raise ZeroDivisionError


def logged(*requests: tuple[str, str, float | None, str]) -> RequestStats:
    """Locust's statistics after these requests: method, name, time in ms, error."""
    stats = RequestStats()
    for method, name, milliseconds, error in requests:
        stats.log_request(method, name, milliseconds, 1)  # type: ignore[arg-type]
        if error:
            stats.log_error(method, name, error)
    return stats


def reported(*requests: tuple[str, str, float | None, str]) -> dict[str, Any]:
    """What a worker says of these requests after the end."""
    meter = Stopping()
    after = AfterTheEnd()
    after.is_on, after.stats = True, logged(*requests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("locust_kit.meters.stopping.AFTER_THE_END", after)
        return json.loads(json.dumps(meter.document()), object_hook=_with_numbers)  # type: ignore[no-any-return]


def _with_numbers(value: dict[str, Any]) -> dict[Any, Any]:
    """Read the keys of times as numbers, as Locust's own messages keep them."""
    return {int(key) if key.isdigit() else key: of for key, of in value.items()}


LOAD = [("GET", "/a", 10.0, ""), ("GET", "/a", 20.0, "boom"), ("POST", "/b", 5.0, "")]
GOODBYE = [("GET", "/a", 900.0, "boom"), ("POST", "/logout", 1.0, "gone"), ("POST", "/logout", None, "")]


def test_what_came_after_the_end_is_in_no_figure_of_the_load() -> None:
    merged = Stopping.merged({"w-1": reported(*GOODBYE[:1]), "w-2": reported(*GOODBYE[1:])})
    both = document("run-1", logged(*LOAD, *GOODBYE), 2.0, merged)
    alone = document("run-1", logged(*LOAD), 2.0, {})
    assert both == alone
    assert alone["figures"]["requests_per_second"] == 1.5
    assert (merged["requests"], merged["failures"]) == (3, 2)
    assert Stopping.moment(merged) == {"requests": 3, "failures": 2, "users_in_on_stop": 0}
    assert Stopping.merged({"w-1": {}}) == Stopping.moment({}) == {}


@pytest.mark.parametrize("error", [OSError("x" * 5000), OSError("x" * 50_000), "y" * 5000, Unspeakable()])
def test_an_error_after_the_end_is_in_no_figure_whatever_its_text(monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    after = AfterTheEnd()
    after.is_on = True
    for module in ("failures.counters", "meters.stopping"):
        monkeypatch.setattr(f"locust_kit.{module}.AFTER_THE_END", after)
    environment = Environment(user_classes=[type("Odd", (User,), {})], events=Events())
    environment.create_local_runner()
    RequestCounters().listen(environment)
    environment.events.request.fire(request_type="POST", name="/logout", response_time=1.0, exception=error)
    assert environment.stats.total.num_failures == 1
    made = document("run-1", environment.stats, 1.0, Stopping.merged({"w-1": Stopping().document()}))
    assert (made["figures"]["failures"], made["errors"], made["endpoints"]) == (0, [], [])


def test_a_worker_that_reports_nonsense_after_the_end_adds_nothing() -> None:
    good = reported(*GOODBYE)
    odd: list[dict[str, Any]] = [
        {"is_stopping": True},
        {
            "is_stopping": True,
            "endpoints": [7, {"requests": -1, "times": {"x": 1, 5: "y"}, "min_ms": "0"}],
            "errors": 3,
        },
        {"is_stopping": True, "seconds": float("nan"), "users_cut_off": float("inf"), "errors": [{"error": None}]},
    ]
    for document_ in odd:
        merged = Stopping.merged({"w-1": good, "w-2": document_})
        assert Stopping.moment(merged) == Stopping.moment(Stopping.merged({"w-1": good}))
        json.dumps(merged, allow_nan=False)


def test_names_beyond_the_most_frequent_are_one_row_for_each_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_statistics, "_MOST_ENDPOINTS", 2)
    often = [("GET", "/a", 10.0, "")] * 3 + [("GET", "/b", 10.0, "")] * 2
    once = [("GET", f"/{number}", float(number), "boom" if number == 9 else "") for number in (7, 8, 9)]
    made = document("run-1", logged(*often, *once, ("POST", "/p", None, "")), 4.0, {})
    rows = {(row["method"], row["name"]): row for row in made["endpoints"]}
    assert list(rows) == [("GET", "/a"), ("GET", "/b"), ("GET", OTHERS), ("POST", OTHERS)]
    others = rows["GET", OTHERS]
    assert (others["names"], others["requests"], others["failures"]) == (3, 3, 1)
    assert (others["min_ms"], others["average_ms"], others["max_ms"], others["p95_ms"]) == (7, 8, 9, None)
    assert rows["POST", OTHERS]["average_ms"] is None
    assert made["endpoints_left_out"] == 4
    for figure in ("requests", "failures", "requests_per_second"):
        assert sum(row[figure] for row in rows.values()) == made["figures"][figure]


def test_rows_together_keep_the_shortest_and_the_longest() -> None:
    (one,), (other,) = reported(GOODBYE[0])["endpoints"], reported(GOODBYE[2])["endpoints"]
    both = together(one, other)
    assert (both["requests"], both["min_ms"], both["max_ms"], both["times"]) == (2, 900, 900, {900: 1})


def test_the_time_of_the_load_begins_with_a_reset_and_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = LoadClock(Environment())
    for at, act in ((105.0, clock.reset), (115.0, clock.stop), (150.0, clock.stop), (160.0, clock.reset)):
        now[0] = at
        act()
    made = clock.document()
    assert made["load_seconds"] == clock.seconds == 10
    assert made["counted_since"]
    assert made["load_ended_at"]
    assert (made["ended_by_timer"], made["stopped_by"]) == (False, "")
    clock.begin()
    assert clock.document()["load_ended_at"] is clock.document()["counted_since"] is None


def test_a_wall_clock_that_is_set_back_makes_no_span_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = LoadClock(Environment())
    clock._counted_since += timedelta(hours=2)  # then the clock was set to the right time
    now[0] = 110.0
    since, until = clock.span
    assert until - since == 10
    assert sum(document("run-1", RequestStats(), 10.0, {}, span=clock.span)["over_time"]["requests"]) == 0
    clock.stop()
    assert clock.span == (since, until)


def test_errors_are_worded_as_locust_sends_them() -> None:
    stats = RequestStats()
    stats.log_error("GET", "/a", ValueError("boom"))
    stats.log_request("GET", "/a", 1, 1)
    (row,) = document("run-1", stats, 1.0, {})["errors"]
    assert row["error"] == StatsError.parse_error(ValueError("boom"))
