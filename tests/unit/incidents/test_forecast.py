from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.incidents.forecast import LAST_SECONDS, Forecast, Forecasts
from sidecar.incidents.trace import MemoryReading, Trace
from tests.fakes.sidecar_samples import NOW, container
from tests.unit.incidents import memory_series as series
from tests.unit.incidents.memory_series import MIB, Noise, Reading, Shape, readings

LIMIT = 256 * MIB
SMOOTH, NOISY = 0.002, 0.02  # of the limit
RECORDED = json.loads((Path(__file__).parent / "data" / "recorded_leaks.json").read_text())


def forecasts(given: Iterable[Reading], limit: float = LIMIT, started: float | None = None) -> list[float | None]:
    forecast = Forecast(started)
    return [forecast.add(at, working_set, usage, limit) for at, working_set, usage in given]


def share(value: float) -> float:
    return value * LIMIT


# Fractions of the limit, as (low, high). A first rise from a quarter of its height or less cannot be told from a leak.
SAWTEETH = [(0.1, 0.4), (0.2, 0.6), (0.2, 0.7), (0.3, 0.8), (0.4, 0.9), (0.5, 0.9), (0.6, 0.95), (0.7, 0.97)]
PERIODS = [5, 13, 45, 120]
QUIET: dict[str, Shape] = {
    **{f"sawtooth {low}-{high} each {period} s from {phase}": series.sawtooth(share(low), share(high), period, phase)
       for low, high in SAWTEETH for period in PERIODS for phase in (0.0, 0.4)},
    **{f"ragged sawtooth {low}-{high} each {period} s": series.ragged_sawtooth(share(low), share(high), period, 7)
       for low, high in SAWTEETH for period in PERIODS},
    **{f"start-up to {level} in {tau} s": series.levelling(share(0.05), share(level), tau)
       for level in (0.5, 0.6, 0.8, 0.9) for tau in (2, 10, 60, 300, 900)},
    **{f"cache grows {pace} MiB/s over {level}": series.cache_growth(share(level), pace * MIB, LIMIT)
       for level in (0.1, 0.5, 0.9) for pace in (0.1, 1, 10)},
    **{f"cache dropped over {level}": series.cache_drops(share(level), MIB, LIMIT, 300) for level in (0.1, 0.5, 0.9)},
    **{f"cache activated in {seconds} s": series.activated_cache(share(0.1), share(0.8), share(0.9), seconds)
       for seconds in (20, 100, 600)},
    **{f"users added, {levels}, in {ramp} s": series.steps(tuple(map(share, levels)), 400, ramp)
       for levels in ((0.2, 0.4, 0.6, 0.8), (0.15, 0.5, 0.5, 0.9), (0.2, 0.7)) for ramp in (1, 10, 30, 60)},
    **{f"small and full collections each {period} s": series.generations(share(0.3), share(0.1), share(0.3), period, 20)
       for period in (5, 10)},
    **{f"flat at {level}": series.flat(share(level)) for level in (0.1, 0.5, 0.8, 0.95)},
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
def test_what_is_stable_for_an_hour_is_never_forecast(name: str) -> None:
    found = [eta for eta in forecasts(readings(QUIET[name], Noise(3, SMOOTH * LIMIT))) if eta is not None]
    assert found == []


@pytest.mark.parametrize("name", [name for name in QUIET if "ragged" in name or "flat" in name or "cache " in name])
def test_noise_makes_no_leak_of_what_is_stable(name: str) -> None:
    found = [eta for eta in forecasts(readings(QUIET[name], Noise(4, NOISY * LIMIT))) if eta is not None]
    assert found == []


def misses(given: list[Reading], etas: list[float | None], limit: float, ended: float) -> list[Any]:
    """Rounds from half of the limit on whose forecast is silent, or more than a quarter (or half a second) off."""
    return [
        (round(at, 1), round(ended - at, 1), eta)
        for (at, _, usage), eta in zip(given, etas, strict=True)
        if usage >= limit / 2 and (eta is None or abs(eta - (ended - at)) > max(0.5, 0.25 * (ended - at)))
    ]


@pytest.mark.parametrize("limit", [256, 512, 2048])
@pytest.mark.parametrize("pace", [1, 5, 20])
@pytest.mark.parametrize("began", [0.1, 0.7, 1.3, 1.9])
def test_a_leak_is_forecast_from_half_of_the_limit_on(limit: int, pace: int, began: float) -> None:
    shape = series.leak(pace * MIB)
    given = [reading for reading in readings(shape, Noise(5, 0.3 * MIB), began=began) if reading[1] < limit * MIB]
    ended = 0.3 + (limit - 10) / pace + LAST_SECONDS
    assert misses(given, forecasts(given, limit * MIB, started=0.0), limit * MIB, ended) == []


@pytest.mark.parametrize(
    "leak", RECORDED, ids=lambda leak: f"{leak['limit_bytes'] >> 20}m-{leak['mebibytes_per_second']}"
)
def test_recorded_leaks_are_forecast_from_half_of_the_limit_on(leak: dict[str, Any]) -> None:
    dying = 0.5  # a reading of the last half second shows a memory that is being taken down
    given = [(at, low, usage) for at, low, usage in leak["readings"] if at < leak["ended_seconds"] - dying]
    etas = forecasts(given, leak["limit_bytes"], started=0.0)
    assert misses(given, etas, leak["limit_bytes"], leak["ended_seconds"]) == []


def test_a_leak_after_a_long_quiet_time_is_forecast() -> None:
    shape = series.leak(MIB, base=20 * MIB, after=1800)
    given = [reading for reading in readings(shape, Noise(6)) if reading[1] < LIMIT]
    ended = 1800 + 236 + LAST_SECONDS
    assert misses(given, forecasts(given), LIMIT, ended) == []


@pytest.mark.parametrize(("period", "tooth"), [(40, 200), (20, 150)])
def test_a_leak_under_a_garbage_collector_is_forecast_by_its_lows(period: float, tooth: float) -> None:
    limit = 1024 * MIB
    shape = series.collected_leak(0.5 * MIB, period, tooth * MIB)
    given = list(itertools.takewhile(lambda reading: reading[1] < 0.99 * limit, readings(shape, Noise(8))))
    ended = given[-1][0]
    late = [
        (eta, ended - at)
        for (at, low, _), eta in zip(given, forecasts(given, limit), strict=True)
        if low > 0.6 * limit and ended - at > 60
    ]
    spoken = [(eta, left) for eta, left in late if eta is not None]
    assert len(spoken) > len(late) / 3
    assert [one for one in spoken if abs(one[0] - one[1]) > 0.25 * one[1]] == []


@pytest.mark.parametrize("seed", [2, 5])
def test_a_noisy_start_up_must_look_like_a_leak_for_several_rounds(seed: int) -> None:
    shape = series.levelling(share(0.05), share(0.9), 60)
    assert set(forecasts(readings(shape, Noise(seed, NOISY * LIMIT), seconds=240))) == {None}


def test_raw_usage_at_the_limit_over_a_flat_working_set_is_no_danger() -> None:
    assert set(forecasts([(2.0 * n, share(0.6), share(1.0)) for n in range(900)])) == {None}


def test_a_leak_that_stops_is_no_longer_forecast_after_a_few_readings() -> None:
    rising = [(2.0 * n, (8 + 2 * n) * MIB, (8 + 2 * n) * MIB) for n in range(75)]
    resting = [(150.0 + 2.0 * n, rising[-1][1], rising[-1][1]) for n in range(20)]
    etas = forecasts([*rising, *resting])
    assert etas[74] is not None
    assert set(etas[78:]) == {None}


def test_a_level_it_came_down_from_before_is_not_feared_again() -> None:
    shape = series.sawtooth(share(0.02), share(0.8), 100)
    etas = forecasts(readings(shape, Noise(9)))
    assert any(etas[:50])  # the first rise looks like any leak
    assert set(etas[60:]) == {None}


def test_without_a_limit_nothing_is_forecast() -> None:
    assert Forecast(0.0).add(1.0, 900 * MIB, 900 * MIB, None) is None


def test_the_same_reading_again_is_answered_alike() -> None:
    forecast = Forecast(0.0)
    for n in range(8):
        eta = forecast.add(2.0 * n, (5 + 20 * n) * MIB, (5 + 20 * n) * MIB, LIMIT)
    assert eta is not None
    assert forecast.add(14.0, 0, 0, LIMIT) == eta


def test_what_is_kept_of_a_container_does_not_grow_for_ever() -> None:
    forecast = Forecast()
    for n in range(20_000):
        forecast.add(2.0 * n, share(0.3), share(0.3), LIMIT)
    assert len(forecast) <= 230


def test_the_highest_reading_is_remembered_when_all_else_is_forgotten() -> None:
    trace = Trace()
    trace.add(MemoryReading(0.0, 5.0, 5.0, 5.0))
    for n in range(1, 20_000):
        trace.add(MemoryReading(float(n), 1.0, 1.0, 1.0))
    assert trace.highest_before(19_000.0) == 5.0


def rounds(kept: Forecasts, count: int, first: int = 0, **changes: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for n in range(first, first + count):
        used = (8 + 20 * n) * MIB
        one = container(
            "locust-worker",
            started_at=NOW,
            sampled_at=NOW + timedelta(seconds=2 * n),
            memory_working_set_bytes=used,
            memory_usage_bytes=used,
            memory_limit_bytes=LIMIT,
        )
        found = dict(kept.update([replace(one, **changes)]))
    return found


def test_each_container_has_a_forecast_of_its_own() -> None:
    found = rounds(Forecasts(), 10)
    assert list(found) == [container("locust-worker").id]


def test_a_restart_begins_a_new_forecast() -> None:
    kept = Forecasts()
    rounds(kept, 10)
    assert rounds(kept, 1, 10, started_at=NOW + timedelta(seconds=20)) == {}


def test_an_oom_kill_that_the_container_outlived_begins_a_new_forecast() -> None:
    kept = Forecasts()
    rounds(kept, 10)
    assert rounds(kept, 1, 10, oom_kills=1) == {}


def test_a_container_that_is_gone_is_forgotten() -> None:
    kept = Forecasts()
    rounds(kept, 10)
    kept.update([])
    assert rounds(kept, 1, 10, started_at=None) == {}
