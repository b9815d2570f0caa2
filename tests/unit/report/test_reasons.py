"""What breaks a run, each thing inflicted on a run in which nothing broke."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.common.times import format_time
from sidecar.model.incident import ExitReason, IncidentKind
from sidecar.model.run_record import Moment, RunRecord
from sidecar.report.verdict.reason import GeneratorLimits, Sustained
from sidecar.report.verdict.reasons import reasons
from tests.fakes.run_scene import LENGTH, after, altered, clean, container, incident, moment


def kinds(record: RunRecord, limits: GeneratorLimits | None = None) -> list[str]:
    return [reason.kind for reason in reasons(record, limits or GeneratorLimits())]


def planned(**changes: Any) -> dict[str, Any]:
    return {**clean().begin, "plan": {**clean().plan, **changes}}


def test_nothing_broke() -> None:
    assert kinds(clean()) == []


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (clean(incidents=(incident(IncidentKind.OOM_KILL),)), ["oom_kill"]),
        (clean(incidents=(incident(IncidentKind.BLIND, service=None),)), ["blind"]),
        (clean(incidents=(incident(IncidentKind.EXIT, reason=ExitReason.STOPPED),)), []),
        (clean(incidents=(incident(IncidentKind.OOM_KILL, -5),)), []),
        (clean(ended_at=None, last_sign_at=after(20)), ["broke_off"]),
        (clean(ended_at=None, is_running=True), []),
        (clean(moments=altered(20, 61, missing=("w-1",), workers=1), series=()), ["worker_lost"]),
        (clean(moments=altered(0, 61, missing=("of before",))), []),
        (clean(moments=altered(0, 61, workers=1)), ["workers_missing"]),
        (clean(moments=altered(0, 61, workers=9)), []),  # those of other machines have no container here
        (clean(incidents=(incident(IncidentKind.WORKER_LOST, container=None, container_id=None),)), ["worker_lost"]),
        (clean(moments=altered(0, 8, workers=1)), []),  # too short to be sustained
        (clean(moments=altered(0, 61, workers=3, workers_expected=4, worker_hosts=2)), ["workers_missing"]),
        (clean(moments=altered(0, 61, workers=4, workers_expected=4, worker_hosts=2)), []),
        (
            clean(moments=altered(0, 61, workers=2, workers_expected=2, worker_hosts=1)),
            ["workers_missing"],
        ),  # 2 containers
        (clean(moments=altered(0, 8, workers=3, workers_expected=4, worker_hosts=2)), []),  # it came late
        (clean(groups={"classes": {"generator": 7}}), ["generator_limits"]),
        (clean(groups={"classes": {"target_not_allowed": 1}}), ["target_not_allowed"]),
        (clean(moments=altered(20, 31, cpu_percent=95.0)), ["generator_cpu"]),
        (clean(moments=altered(20, 28, cpu_percent=95.0)), []),
        (clean(moments=altered(20, 61, cpu_percent=89.0)), []),
        (clean(series=(container(1), container(2, throttled_percent=40.0))), ["throttled"]),
        (clean(series=(container(1), container(2, throttled_percent=20.0))), []),
        (clean(moments=altered(0, 61, users=40), end={"most_users": 40}), ["users_short"]),
        (clean(moments=altered(0, 61, users=0)), []),  # the master's end mark knows better
        (clean(moments=altered(0, 61, users=40), end={}, begin=planned(shape_class="Steps")), []),
        (clean(ended_at=after(30), moments=clean().moments[:31]), ["ended_early"]),
        (clean(ended_at=after(30), moments=clean().moments[:31], begin=planned(run_time_seconds=0)), []),
        (clean(end={"shape_cut": True, "most_users": 50}), ["ended_early"]),
        (clean(end={"quit": True, "most_users": 50}), ["master_restart"]),
        (clean(unwatched="the disk is gone"), ["blind"]),
        (clean(watched_until=after(30)), ["blind"]),
        (clean(watched_until=after(49)), ["blind"]),
        (clean(watched_until=after(51)), []),
        (clean(watched_until=after(20), look_seconds=15.0), []),
        (clean(watched_until=None, series=()), ["blind"]),
        (clean(incidents=(incident(IncidentKind.BLIND, -5, until=after(3)),)), ["blind"]),
        (clean(incidents=(incident(IncidentKind.BLIND, -5),)), ["blind"]),  # it goes on
        (clean(incidents=(incident(IncidentKind.BLIND, -5, until=after(-1)),)), []),
    ],
)
def test_one_thing_that_broke_is_one_reason(record: RunRecord, found: list[str]) -> None:
    assert kinds(record) == found


def test_a_worker_that_was_given_up_before_the_run_took_no_part_in_it() -> None:
    lost = incident(IncidentKind.WORKER_LOST, 2, workers=("w-old",))
    assert kinds(clean(incidents=(lost,), moments=altered(0, 61, missing=("w-old",)))) == []
    assert kinds(clean(incidents=(lost,), moments=altered(3, 61, missing=("w-old",)))) == ["worker_lost"]


def test_a_worker_that_was_scaled_up_has_time_to_register() -> None:
    later = container(3, since=20)
    assert kinds(clean(series=(container(1), container(2), later), moments=altered(50, 61, workers=3))) == []
    assert kinds(clean(series=(container(1), container(2), later))) == ["workers_missing"]


def test_a_process_that_was_gone_all_along_is_said_of_a_short_run_too() -> None:
    short = clean(moments=tuple(moment(second, workers=3, workers_expected=4, worker_hosts=2) for second in range(6)))
    (reason,) = [one for one in reasons(short, GeneratorLimits()) if one.kind == "workers_missing"]
    assert reason.text.startswith("workers were missing: 3 of 4 were connected to the master")


def test_a_run_too_short_for_its_ramp_says_so_and_one_cut_within_it_does_not() -> None:
    steps = tuple(moment(second, users=5 * second, target_users=500) for second in range(LENGTH + 1))
    never = clean(moments=steps, end={}, begin=planned(users=500, spawn_rate_per_second=5.0))
    (reason,) = reasons(never, GeneratorLimits())
    told = "at most 300 of 500 users were running: the ramp takes 100 s at 5 users/s, but RUN_TIME is 60 s"
    assert (reason.kind, reason.text) == ("users_short", told)
    endless = planned(users=500, spawn_rate_per_second=5.0, run_time_seconds=0)
    assert kinds(replace(never, begin=endless)) == []


def test_a_reason_says_when_how_long_and_how_much_of_the_run() -> None:
    (busy,) = reasons(clean(moments=altered(20, 41, cpu_percent=97.0)), GeneratorLimits())
    assert (busy.at, busy.seconds, busy.share) == (after(20), 21.0, 0.35)
    told = "(highest: 97 %), from 01:02:23 UTC, for 21 s, 35% of the run: increase WORKERS"
    assert busy.text == f"a worker used 90 % of a CPU core or more {told}"


def test_the_gravest_comes_first_and_what_an_incident_explains_is_not_told_twice() -> None:
    lost = altered(30, 61, missing=("w-1",), workers=1)
    record = clean(incidents=(incident(IncidentKind.RESTART), incident(IncidentKind.OOM_KILL)), moments=lost, series=())
    assert kinds(record) == ["oom_kill", "restart"]
    restarted = incident(IncidentKind.MASTER_RESTART, service="locust-master")
    assert kinds(clean(incidents=(restarted,), ended_at=None)) == ["master_restart", "broke_off"]


def test_the_limits_are_settings() -> None:
    record = clean(moments=altered(20, 31, cpu_percent=95.0))
    assert kinds(record, GeneratorLimits(cpu_percent=96.0)) == []
    assert kinds(record, GeneratorLimits(sustained=Sustained(30.0, 0.5))) == []
    assert kinds(record, GeneratorLimits(sustained=Sustained(11.0, 0.5))) == ["generator_cpu"]


def test_a_gap_in_the_timeline_is_not_counted_as_what_was_before_it() -> None:
    jumps = tuple(one for second, one in enumerate(altered(20, 22, cpu_percent=99.0)) if not 22 <= second < 55)
    assert kinds(clean(moments=jumps)) == ["generator_cpu"]  # 1 s, and the 10 s that a step may last
    assert reasons(clean(moments=jumps), GeneratorLimits())[0].seconds == 11.0


def refused(**changes: Any) -> dict[str, Any]:
    row = {"worker": "w-1", "reason": "stats: num_requests is not a count", "count": 3, "changes_figures": True}
    return {"reports": {"refused": [{**row, "first_at": "2026-11-27T01:02:30Z", **changes}]}}


def test_reports_that_were_refused_are_said_and_break_a_run_where_figures_are_missing_with_them() -> None:
    (reason,) = reasons(clean(meters=refused()), GeneratorLimits())
    assert (reason.kind, reason.at) == ("report_refused", after(27))
    assert "3 reports of workers" in reason.text
    assert "w-1: stats: num_requests is not a count" in reason.text
    assert kinds(clean(meters=refused(changes_figures=False))) == []
    assert kinds(clean(meters={"reports": {"refused": None}})) == []


def test_a_worker_that_sent_no_statistics_breaks_a_run() -> None:
    row = {"worker": "w-1", "at": "2026-11-27T01:02:13.500Z", "seconds": 21.3, "users": 5}
    (reason,) = reasons(clean(meters={"reports": {"silent_workers": [row]}}), GeneratorLimits())
    assert (reason.kind, reason.at, reason.seconds) == ("worker_silent", after(10.5), 21.3)
    assert "worker w-1 sent no statistics for 21 s from 01:02:13 UTC, with 5 users" in reason.text


def ended_at(second: float, *moments: Moment) -> RunRecord:
    """A run whose load ends at this second, and its goodbyes later."""
    return clean(moments=moments, end={**clean().end, "load_ended_at": format_time(after(second))})


def test_a_worker_that_is_busy_with_goodbyes_was_not_as_busy_in_the_load() -> None:
    busy = [moment(second, cpu_percent=92.0 if second < LENGTH else 140.0) for second in range(LENGTH + 1)]
    (reason,) = reasons(ended_at(LENGTH - 1, *busy), GeneratorLimits())
    assert reason.text.startswith("a worker used 90 % of a CPU core or more (highest: 92 %), ")
