"""Counters over all starts of a container, and beyond its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sidecar.engine import stats
from sidecar.model.observation import ContainerSeries, Inspected, Listed, NetworkInterface, StatsReading, Total
from sidecar.monitor.assembly import ContainerReadings
from sidecar.monitor.recorder import LagMeter
from sidecar.monitor.series import KEPT_SECONDS, MOST_GONE, CounterSeries
from tests.fakes.sidecar_samples import NOW, recorded

CPU = Total("cpu_ns")
BASE = stats.counters(recorded("v2/stats_one_shot"))
assert BASE is not None


def counters(cpu_ns: int, at_seconds: float, **changes: Any) -> StatsReading:
    assert BASE is not None
    return replace(BASE, cpu_total_ns=cpu_ns, read_at=later(at_seconds), **changes)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def seen(
    reading: StatsReading | None, *, started: float = -60, container_id: str = "a" * 64, state: str = "running"
) -> ContainerReadings:
    listed = Listed(container_id, "shop-web-1", "web", 1, state, None, project="shop", image="web:1")
    inspected = Inspected("h", later(started), None, 0, 64 << 20, None, tty=False)
    return ContainerReadings(listed, inspected, None, reading)


def only(series: CounterSeries) -> ContainerSeries:
    (row,) = series.rows()
    return row


def test_a_counter_goes_on_where_the_last_start_ended() -> None:
    series = CounterSeries()
    for at, cpu in ((0, 500), (2, 900), (4, 100), (6, 250)):
        series.observe(later(at), [seen(counters(cpu, at))], {})
    assert only(series).totals[CPU] == 900 + 250


def test_a_start_that_soon_counted_more_than_the_last_one_is_told_by_its_time() -> None:
    series = CounterSeries()
    series.observe(later(0), [seen(counters(500, 0))], {})
    series.observe(later(2), [seen(counters(800, 2), started=1)], {})
    series.observe(later(4), [seen(counters(900, 4), started=1)], {})
    assert only(series).totals[CPU] == 500 + 900


def test_a_start_that_the_inspect_learns_of_late_is_counted_once() -> None:
    series = CounterSeries()
    series.observe(later(0), [seen(counters(500, 0))], {})
    series.observe(later(2), [seen(counters(10, 2))], {})
    series.observe(later(4), [seen(counters(20, 4), started=1)], {})
    assert only(series).totals[CPU] == 520


def test_a_network_card_that_comes_back_alone_goes_on_counting() -> None:
    def interface(received: int) -> tuple[NetworkInterface, ...]:
        return (NetworkInterface("eth0", received, 0, 0, 0, 0, 0),)

    series = CounterSeries()
    for at, interfaces in enumerate((interface(100), (), interface(30))):
        series.observe(later(at), [seen(counters(500 + at, at, interfaces=interfaces))], {})
    row = only(series)
    assert row.totals[Total("rx_bytes", "eth0")] == 130
    assert row.totals[CPU] == 502


def test_a_container_that_is_gone_keeps_its_counters_for_an_hour() -> None:
    series = CounterSeries()
    series.observe(later(0), [seen(counters(500, 0))], {})
    series.observe(later(2), [], {"a" * 64: 1})
    row = only(series)
    assert (row.present, row.counters, row.totals[CPU], row.oom_kills) == (False, None, 500, 1)
    assert row.seen_at == later(0)
    series.observe(later(KEPT_SECONDS), [], {})
    assert len(series.rows()) == 1
    series.observe(later(KEPT_SECONDS + 1), [], {})
    assert series.rows() == ()


def test_of_very_many_that_are_gone_the_latest_are_kept() -> None:
    series = CounterSeries()
    for number in range(MOST_GONE + 3):
        series.observe(later(number), [seen(None, container_id=f"{number:064d}")], {})
    series.observe(later(MOST_GONE + 3), [], {})
    rows = series.rows()
    assert len(rows) == MOST_GONE
    assert rows[0].listed.id == f"{3:064d}"


def test_an_ended_container_was_last_seen_when_it_ran() -> None:
    series = CounterSeries()
    series.observe(later(0), [seen(counters(500, 0))], {})
    series.observe(later(2), [seen(None, state="exited")], {})
    row = only(series)
    assert (row.present, row.seen_at, row.counters) == (True, later(0), None)


def test_the_first_scrape_of_a_new_container_shows_no_kill_and_the_next_one_does() -> None:
    series = CounterSeries()
    series.observe(later(0), [], {})
    series.observe(later(2), [seen(counters(1, 2))], {"a" * 64: 2})
    assert [only(series).oom_kills for _ in range(3)] == [0, 2, 2]


def test_what_was_there_before_the_sidecar_started_is_shown_at_once() -> None:
    series = CounterSeries()
    series.observe(later(0), [seen(counters(1, 0))], {"a" * 64: 2})
    assert only(series).oom_kills == 2


def test_kills_that_the_ledger_has_forgotten_stay_counted() -> None:
    series = CounterSeries()
    for at, kills in enumerate((2, 1, 0)):
        series.observe(later(at), [seen(counters(1, at))], {"a" * 64: kills})
    assert only(series).oom_kills == 2


def test_kills_of_containers_that_nobody_listed_are_left_to_the_ledger() -> None:
    series = CounterSeries()
    series.observe(later(0), [], {"b" * 64: 1})
    assert series.rows() == ()


def test_a_lag_is_counted_in_each_bucket_it_fits_into() -> None:
    meter = LagMeter()
    for seconds in (0.004, 0.005, 0.2, 99.0, -1.0):
        meter.observe(seconds)
    lag = meter.reading()
    assert (lag.count, dict(lag.upto)[0.005], dict(lag.upto)[0.25], dict(lag.upto)[10.0]) == (5, 3, 4, 4)
    assert lag.sum_seconds == 0.004 + 0.005 + 0.2 + 99.0
