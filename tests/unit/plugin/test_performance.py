"""Times of requests: quantiles within their bound, sums of workers exact, and the endpoints that the time goes to."""

from __future__ import annotations

import math
import random

import pytest
from locust_kit import performance
from locust_kit.performance import Performance, Sketch, SlowLimits


def nearest_rank(samples: list[float], share: float) -> float:
    return sorted(samples)[max(1, math.ceil(share * len(samples))) - 1]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("shape", ["uniform", "long tail", "two humps", "all the same", "one"])
def test_a_quantile_is_within_one_per_cent_of_the_sample(shape: str, share: float) -> None:
    chance = random.Random(7)  # noqa: S311
    samples = {
        "uniform": [chance.uniform(1, 1000) for _ in range(5000)],
        "long tail": [chance.lognormvariate(3, 1.5) for _ in range(5000)],
        "two humps": [chance.gauss(20, 2) if chance.random() < 0.9 else chance.gauss(5000, 100) for _ in range(5000)],
        "all the same": [42.0] * 100,
        "one": [3.7],
    }[shape]
    sketch = Sketch()
    for sample in samples:
        sketch.add(sample)
    assert sketch.quantile(share) == pytest.approx(nearest_rank(samples, share), rel=0.0100001)
    assert sketch.count == len(samples)
    assert sketch.document()["mean_ms"] == pytest.approx(sum(samples) / len(samples), abs=0.01)


def test_no_request_has_no_quantile() -> None:
    assert Sketch().document() == {
        **dict.fromkeys(("mean_ms", "median_ms", "p95_ms", "p99_ms")),
        "count": 0,
        "buckets": {},
    }


def test_a_time_of_nothing_is_counted() -> None:
    sketch = Sketch()
    sketch.add(0.0)
    assert sketch.quantile(0.5) == pytest.approx(performance.SHORTEST_MS, rel=0.02)


def test_reports_of_workers_add_up_to_what_one_would_have_seen() -> None:
    chance = random.Random(7)  # noqa: S311
    alone, master = Performance(SlowLimits()), Performance(SlowLimits())
    workers = [Performance(SlowLimits()) for _ in range(3)]
    for number in range(3000):
        request = ("GET", f"/{number % 4}", chance.lognormvariate(6, 2))
        exception = ValueError() if number % 7 == 0 else None
        for times in (alone, workers[number % 3]):
            times.on_request(*request, exception=exception)
        if number % 500 == 0:
            master.take(workers[number % 3].report())
    for worker in workers:
        master.take(worker.report())
        assert worker.report() == []
    mine, theirs = alone.document("r"), master.document("r")
    for own, other in zip(mine["endpoints"], theirs["endpoints"], strict=True):
        assert (own["good"], own["failed"], own["slow"]) == (other["good"], other["failed"], other["slow"])


def test_good_and_failed_requests_are_apart() -> None:
    seen = Performance(SlowLimits())
    seen.on_request("GET", "/", 10.0)
    seen.on_request("GET", "/", 5000.0, exception=TimeoutError())
    seen.on_request("GET", "/", None)
    (endpoint,) = seen.document("r")["endpoints"]
    assert endpoint["good"]["median_ms"] == pytest.approx(10, rel=0.01)
    assert endpoint["failed"]["median_ms"] == pytest.approx(5000, rel=0.01)
    assert (endpoint["good"]["count"], endpoint["failed"]["count"], endpoint["slow"]) == (1, 1, 1)


def test_bottlenecks_are_by_time_spent_in_slow_requests_and_of_several() -> None:
    seen = Performance(SlowLimits(slow_ms=100, more_than=2, top=2))
    for name, times in {
        "/few": [9000.0, 9000.0],
        "/many": [200.0] * 30,
        "/some": [900.0] * 3,
        "/third": [150.0] * 3,
        "/fast": [99.0] * 99,
    }.items():
        for each in times:
            seen.on_request("GET", name, each)
    assert [key[1] for key, _ in seen.bottlenecks()] == ["/many", "/some"]
    lines = list(seen.lines())
    assert lines[0] == "Slow requests: 38 took longer than 100 ms"
    assert lines[1].startswith("  GET /many: 30 slow requests, 6.0 s in total, p95 of successful requests ")


def test_nothing_slow_says_nothing() -> None:
    seen = Performance(SlowLimits())
    seen.on_request("GET", "/", 3000.0)
    assert list(seen.lines()) == []


def test_names_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "MOST_ENDPOINTS", 10)
    seen = Performance(SlowLimits())
    for number in range(100):
        seen.on_request("GET", f"/{number}", 1.0)
    assert len(seen.endpoints) == 11
    assert seen.endpoints["GET", "(others)"].good.count == 90


def test_limits_come_from_the_environment() -> None:
    assert SlowLimits.of({}) == SlowLimits(3000.0, 5, 5)
    assert SlowLimits.of({"KIT_SLOW_MS": "250", "KIT_SLOW_REQUESTS": "0", "KIT_SLOW_TOP": "3"}) == SlowLimits(
        250.0, 0, 3
    )
