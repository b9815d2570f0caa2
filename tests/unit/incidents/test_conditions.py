from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sidecar.incidents.conditions import Conditions
from sidecar.model.incident import FINAL, PROVISIONAL, ExitReason, Incident, IncidentKind, Severity
from sidecar.model.snapshot import Container, EndpointStats, Locust, Snapshot, Worker
from sidecar.report.verdict.reasons import invalidating
from tests.fakes.sidecar_samples import MIB, NOW, container, locust, snapshot

NAME = "locust-locust-worker-1"


def at(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def shot(seconds: float, *containers: Container, master: Locust | None = None, **changes: Any) -> Snapshot:
    return replace(snapshot(containers), at=at(seconds), locust=master, **changes)


def apply(conditions: Conditions, *shots: Snapshot, recent: Sequence[Incident] = ()) -> list[Incident]:
    return [incident for one in shots for incident in conditions.apply(one, recent)]


def worker(**changes: Any) -> Container:
    return container("locust-worker", 1, memory_limit_bytes=256 * MIB, **changes)


def rounds(seconds: Iterable[float], **changes: Any) -> list[Snapshot]:
    return [shot(second, worker(**changes)) for second in seconds]


def told(incidents: Iterable[Incident]) -> list[tuple[IncidentKind, str, int]]:
    return [(incident.kind, incident.state, incident.revision) for incident in incidents]


def test_throttling_is_an_incident_once_it_lasts_ten_seconds() -> None:
    conditions = Conditions()
    assert apply(conditions, *rounds(range(0, 9, 2), throttled_percent=12.0)) == []
    opened = apply(conditions, *rounds([10], throttled_percent=12.0))
    assert told(opened) == [(IncidentKind.THROTTLED, PROVISIONAL, 1)]
    assert opened[0].at == NOW
    assert opened[0].until is None


def test_a_pause_begins_the_ten_seconds_of_throttling_anew() -> None:
    conditions = Conditions()
    apply(conditions, *rounds(range(0, 9, 2), throttled_percent=12.0))
    apply(conditions, *rounds([10], throttled_percent=4.0))
    assert apply(conditions, *rounds(range(12, 21, 2), throttled_percent=12.0)) == []


def test_throttling_between_the_two_thresholds_goes_on() -> None:
    conditions = Conditions()
    apply(conditions, *rounds(range(0, 12, 2), throttled_percent=12.0))
    assert apply(conditions, *rounds(range(12, 60, 2), throttled_percent=4.0)) == []
    closed = apply(conditions, *rounds(range(60, 72, 2), throttled_percent=0.0))
    assert told(closed) == [(IncidentKind.THROTTLED, FINAL, 2)]
    assert closed[0].until == at(60)


def test_an_incident_ends_with_the_words_of_its_worst_moment() -> None:
    conditions = Conditions()
    for percent in (91.0, 98.0, 93.0):
        apply(conditions, shot(percent - 91, worker(memory_percent=percent)))
    closed = apply(conditions, shot(9, worker(memory_percent=50.0)))
    assert "98%" in closed[0].text


def test_memory_is_high_from_ninety_percent_to_below_eighty_five() -> None:
    conditions = Conditions()
    assert apply(conditions, shot(0, worker(memory_percent=89.9))) == []
    opened = apply(conditions, shot(2, worker(memory_percent=90.0)))
    assert told(opened) == [(IncidentKind.MEMORY_HIGH, PROVISIONAL, 1)]
    assert apply(conditions, shot(4, worker(memory_percent=86.0))) == []
    assert told(apply(conditions, shot(6, worker(memory_percent=84.0)))) == [(IncidentKind.MEMORY_HIGH, FINAL, 2)]


def test_memory_without_a_limit_is_never_high() -> None:
    assert apply(Conditions(), shot(0, container("locust-worker", memory_limit_bytes=None, memory_percent=95.0))) == []


def test_a_forecast_needs_two_rounds_in_a_row() -> None:
    conditions = Conditions()
    assert apply(conditions, *rounds([0], oom_eta_seconds=300.0), *rounds([2])) == []
    assert apply(conditions, *rounds([4], oom_eta_seconds=300.0)) == []
    opened = apply(conditions, *rounds([6], oom_eta_seconds=298.0))
    assert told(opened) == [(IncidentKind.FORECAST, PROVISIONAL, 1)]
    assert "about 5 min" in opened[0].text


def test_a_forecast_far_away_is_no_incident() -> None:
    assert apply(Conditions(), *rounds(range(0, 20, 2), oom_eta_seconds=601.0)) == []


def test_a_forecast_that_pauses_for_a_round_is_the_same_one() -> None:
    conditions = Conditions()
    apply(conditions, *rounds([0, 2], oom_eta_seconds=300.0))
    assert apply(conditions, *rounds([4]), *rounds([6, 8], oom_eta_seconds=290.0)) == []


def test_an_unhealthy_container_is_an_incident_until_it_is_healthy() -> None:
    conditions = Conditions()
    assert told(apply(conditions, *rounds([0], health="unhealthy"))) == [(IncidentKind.UNHEALTHY, PROVISIONAL, 1)]
    assert apply(conditions, *rounds([2], health="starting")) == []
    assert told(apply(conditions, *rounds([4]))) == [(IncidentKind.UNHEALTHY, FINAL, 2)]


def test_a_restart_of_the_container_closes_what_it_suffered_from() -> None:
    conditions = Conditions()
    apply(conditions, *rounds([0], memory_percent=95.0))
    found = apply(conditions, *rounds([2], memory_percent=95.0, started_at=at(1)))
    assert told(found) == [(IncidentKind.MEMORY_HIGH, FINAL, 2), (IncidentKind.MEMORY_HIGH, PROVISIONAL, 1)]
    assert found[0].id != found[1].id


@pytest.mark.parametrize("after", [[], [container("locust-worker", 1, state="exited")]], ids=["gone", "down"])
def test_a_container_that_is_no_more_suffers_no_more(after: list[Container]) -> None:
    conditions = Conditions()
    apply(conditions, *rounds([0], memory_percent=95.0))
    assert told(apply(conditions, shot(2, *after))) == [(IncidentKind.MEMORY_HIGH, FINAL, 2)]


def test_what_is_stale_neither_opens_nor_closes() -> None:
    conditions = Conditions()
    apply(conditions, *rounds([0], memory_percent=95.0))
    assert apply(conditions, shot(2, stale=True), shot(4, worker(memory_percent=10.0), stale=True)) == []


def test_the_same_snapshots_give_the_same_incidents() -> None:
    first, second = (apply(Conditions(), *rounds([0], memory_percent=95.0)) for _ in range(2))
    assert first == second


def test_after_a_restart_of_the_sidecar_an_incident_goes_on() -> None:
    opened = apply(Conditions(), *rounds([0], memory_percent=95.0))
    conditions = Conditions()
    conditions.restore(opened)
    assert apply(conditions, *rounds([2], memory_percent=96.0)) == []
    closed = apply(conditions, *rounds([4], memory_percent=10.0))
    assert [one.id for one in closed] == [opened[0].id]


def test_full_container_ids_are_taken_where_they_are_known() -> None:
    found = Conditions().apply(shot(0, worker(memory_percent=95.0)), [], {NAME: "f" * 64})
    assert found[0].container_id == "f" * 64


def totals(requests: int, failures: int) -> Locust:
    return locust(0, total=EndpointStats("", "Aggregated", requests, failures, 0.0, None))


def test_failures_of_the_last_ten_seconds_are_an_incident_from_the_threshold_on() -> None:
    conditions = Conditions(0.05)
    calm = [shot(n, master=totals(1000 + 10 * n, 0)) for n in range(0, 12, 2)]
    assert apply(conditions, *calm) == []
    opened = apply(conditions, shot(12, master=totals(1120, 5)))
    assert told(opened) == [(IncidentKind.FAILURE_RATIO, PROVISIONAL, 1)]
    assert "5 of 100" in opened[0].text


def test_failures_are_over_below_half_of_the_threshold() -> None:
    conditions = Conditions(0.05)
    apply(conditions, shot(0, master=totals(0, 0)), shot(10, master=totals(100, 10)))
    assert apply(conditions, shot(20, master=totals(200, 13))) == []
    assert told(apply(conditions, shot(30, master=totals(300, 15)))) == [(IncidentKind.FAILURE_RATIO, FINAL, 2)]


def test_a_silent_master_does_not_end_the_failures() -> None:
    conditions = Conditions(0.05)
    apply(conditions, shot(0, master=totals(0, 0)), shot(10, master=totals(100, 10)))
    assert apply(conditions, shot(20)) == []


def test_another_run_begins_with_clean_figures() -> None:
    conditions = Conditions(0.05)
    apply(conditions, shot(0, master=totals(0, 0)), shot(10, master=totals(100, 10)))
    assert apply(conditions, shot(12, master=totals(5, 0))) == []


def test_a_master_without_totals_is_judged_by_its_rates() -> None:
    opened = apply(Conditions(0.05), shot(0, master=locust(0, rps=100.0, fail_per_second=6.0)))
    assert told(opened) == [(IncidentKind.FAILURE_RATIO, PROVISIONAL, 1)]


def end(kind: IncidentKind, seconds: float, reason: ExitReason | None, **changes: Any) -> Incident:
    made = Incident(
        id=f"{kind}-{seconds}",
        kind=kind,
        severity=Severity.ERROR,
        at=at(seconds),
        text="",
        until=at(seconds),
        project="locust",
        service="locust-worker",
        container=NAME,
        container_id="c" * 64,
        reason=reason,
    )
    return replace(made, **changes)


def restarts(*seconds: float, **changes: Any) -> list[Incident]:
    return [replace(end(IncidentKind.RESTART, second, ExitReason.CRASHED), **changes) for second in seconds]


def test_three_restarts_in_five_minutes_are_a_loop() -> None:
    conditions = Conditions()
    assert apply(conditions, shot(200), recent=restarts(0, 100)) == []
    opened = apply(conditions, shot(290), recent=restarts(0, 100, 280))
    assert told(opened) == [(IncidentKind.RESTART_LOOP, PROVISIONAL, 1)]
    assert (opened[0].count, opened[0].at, opened[0].container_id) == (3, NOW, "c" * 64)


def test_a_loop_that_goes_on_raises_its_count() -> None:
    conditions = Conditions()
    first = apply(conditions, shot(30), recent=restarts(0, 10, 20))
    more = apply(conditions, shot(32), recent=restarts(0, 10, 20, 31))
    assert (more[0].id, more[0].revision, more[0].count) == (first[0].id, 2, 4)


def test_a_loop_ends_when_the_restarts_are_long_ago() -> None:
    conditions = Conditions()
    apply(conditions, shot(30), recent=restarts(0, 10, 20))
    assert told(apply(conditions, shot(400), recent=restarts(0, 10, 20))) == [(IncidentKind.RESTART_LOOP, FINAL, 2)]


@pytest.mark.parametrize(
    "changes", [{"reason": ExitReason.STOPPED}, {"helper": True}], ids=["by a person", "of a helper"]
)
def test_restarts_that_do_not_count_are_no_loop(changes: dict[str, Any]) -> None:
    assert apply(Conditions(), shot(30), recent=restarts(0, 10, 20, **changes)) == []


def listed(*workers: Worker) -> Locust:
    return locust(0, workers=workers)


def one(worker_id: str = "abc_1", **changes: Any) -> Worker:
    return replace(Worker(worker_id, NAME, "running", 50, 10.0, MIB), **changes)


LOST_FOR = [ExitReason.OOM, ExitReason.KILLED, ExitReason.CRASHED, ExitReason.LOST_MASTER, ExitReason.UNSEEN]


def test_a_worker_that_the_master_misses_is_lost_once_with_its_users() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one())))
    gone = listed(one(state="missing", users=0))
    found = apply(conditions, *(shot(n, worker(), master=gone) for n in (2, 4, 6)))
    assert [(lost.kind, lost.workers, lost.users_lost) for lost in found] == [
        (IncidentKind.WORKER_LOST, ("abc_1",), 50)
    ]


@pytest.mark.parametrize("reason", LOST_FOR)
def test_a_worker_whose_container_died_is_lost_at_once(reason: ExitReason) -> None:
    conditions = Conditions()
    death = end(IncidentKind.RESTART, 1, reason)
    apply(conditions, shot(0, worker(), master=listed(one())))
    found = apply(conditions, shot(2, worker(), master=listed(one())), recent=[death])
    assert [(lost.kind, lost.cause, lost.at) for lost in found] == [(IncidentKind.WORKER_LOST, death.id, at(1))]


def test_an_oom_kill_is_the_cause_before_the_restart_that_it_led_to() -> None:
    conditions = Conditions()
    kill = end(IncidentKind.OOM_KILL, 1.1, None, process_survived=False)
    apply(conditions, shot(0, worker(), master=listed(one())))
    found = apply(
        conditions, shot(2, master=listed(one())), recent=[end(IncidentKind.RESTART, 1, ExitReason.OOM), kill]
    )
    assert found[0].cause == kill.id
    assert "OOM-killed" in found[0].text


def test_a_worker_and_the_kill_that_took_it_say_the_same_number_of_users() -> None:
    conditions = Conditions()
    kill = replace(end(IncidentKind.OOM_KILL, 1, None, process_survived=False), workers=("abc_1",), users_lost=28)
    apply(conditions, shot(0, worker(), master=listed(one())))
    (lost,) = apply(conditions, shot(2, worker(), master=listed(one(users=30))), recent=[kill])
    assert lost.users_lost == 28
    assert "28 users" in lost.text


def test_an_oom_kill_that_the_main_process_outlived_loses_no_worker() -> None:
    conditions = Conditions()
    kill = end(IncidentKind.OOM_KILL, 1, None, process_survived=True)
    shots = [shot(n, worker(), master=listed(one())) for n in (0, 2, 4)]
    assert apply(conditions, *shots, recent=[kill]) == []


def test_a_worker_that_came_after_the_death_is_not_lost_by_it() -> None:
    conditions = Conditions()
    death = end(IncidentKind.RESTART, 1, ExitReason.OOM)
    assert apply(conditions, shot(3, worker(), master=listed(one("abc_2"))), recent=[death]) == []


@pytest.mark.parametrize("state", ["gone", "missing"])
def test_a_worker_whose_container_was_stopped_by_a_person_left(state: str) -> None:
    conditions = Conditions()
    death = end(IncidentKind.EXIT, 1, ExitReason.STOPPED)
    apply(conditions, shot(0, worker(), master=listed(one())))
    after = listed() if state == "gone" else listed(one(state="missing"))
    found = apply(conditions, shot(2, master=after), recent=[death])
    assert [left.kind for left in found] == [IncidentKind.WORKER_LEFT]


def test_a_worker_that_quit_left_after_a_moment_of_patience() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one())))
    assert apply(conditions, shot(2, worker(), master=listed()), shot(4, worker(), master=listed())) == []
    found = apply(conditions, shot(6, worker(), master=listed()), shot(8, worker(), master=listed()))
    assert [(left.kind, left.severity) for left in found] == [(IncidentKind.WORKER_LEFT, Severity.INFO)]


def test_a_worker_that_the_master_lists_again_has_not_left() -> None:
    conditions = Conditions()
    here, away = listed(one()), listed()
    shots = [shot(2 * n, worker(), master=master) for n, master in enumerate((here, away, here, away, away))]
    assert apply(conditions, *shots) == []


def test_a_master_that_was_started_anew_has_lost_nobody() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, container("locust-master"), worker(), master=listed(one())))
    fresh = container("locust-master", started_at=at(1))
    assert apply(conditions, *(shot(n, fresh, worker(), master=listed()) for n in range(2, 20, 2))) == []


def test_a_worker_heard_of_again_gets_a_note() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one())))
    apply(conditions, shot(2, worker(), master=listed(one(state="missing"))))
    found = apply(conditions, *(shot(n, worker(), master=listed(one())) for n in (8, 10)))
    assert [(back.revision, back.note) for back in found] == [(2, "the master heard it again after 6 s")]


def test_a_worker_that_came_back_can_be_lost_again() -> None:
    conditions = Conditions()
    here, away = listed(one()), listed(one(state="missing"))
    shots = [shot(2 * n, worker(), master=master) for n, master in enumerate((here, away, here, away, away))]
    found = apply(conditions, *shots)
    lost = {incident.id: incident for incident in found}
    assert [incident.kind for incident in lost.values()] == [IncidentKind.WORKER_LOST, IncidentKind.WORKER_LOST]


def test_after_a_restart_of_the_sidecar_no_worker_is_told_of_twice() -> None:
    first = Conditions()
    missing = shot(2, worker(), master=listed(one(state="missing")))
    lost = apply(first, shot(0, worker(), master=listed(one())), missing)
    second = Conditions()
    second.restore(lost)
    assert apply(second, missing) == []


def test_a_lost_process_is_named_as_one_of_those_of_its_container() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one(processes=2))))
    (lost,) = apply(conditions, *(shot(n, worker(), master=listed(one(processes=2, state="missing"))) for n in (2, 4)))
    assert lost.text.startswith("one of 2 processes of locust-worker-1 was lost: the master no longer hears it")


FAR = one("load2_3f", container=None, remote=True)


def test_a_lost_remote_worker_is_told_as_such_and_breaks_the_run() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one(), FAR)))
    gone = replace(FAR, state="missing", users=0, container=None)
    (lost,) = apply(conditions, *(shot(n, worker(), master=listed(one(), gone)) for n in (2, 4)))
    assert (lost.kind, lost.container, lost.service, lost.users_lost) == (
        IncidentKind.WORKER_LOST,
        None,
        "locust-worker",
        50,
    )
    assert lost.text == ("a remote worker was lost: the master no longer hears it, 50 users lost with worker load2_3f")
    assert invalidating(at(0), [lost]) == (lost,)


def test_a_remote_worker_that_said_goodbye_left() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one(), FAR)))
    (left,) = apply(conditions, *(shot(n, worker(), master=listed(one())) for n in (2, 4, 6, 8)))
    assert (left.kind, left.service) == (IncidentKind.WORKER_LEFT, "locust-worker")
    assert left.text.startswith("a remote worker left")


def test_a_worker_whose_container_is_removed_stays_where_it_was() -> None:
    conditions = Conditions()
    apply(conditions, shot(0, worker(), master=listed(one())))
    homeless = one(container=None, remote=True)
    found = apply(
        conditions, shot(2, master=listed(homeless)), shot(4, master=listed(replace(homeless, state="missing")))
    )
    assert [(lost.container, lost.text.partition(" ")[0]) for lost in found] == [(NAME, "locust-worker-1")]
