"""Rounds of readings: what is asked of the engine, what a failing source costs, what the snapshot says of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sidecar.common.backoff import Backoff
from sidecar.common.errors import EngineError, SettingError
from sidecar.engine.stats import counters
from sidecar.incidents.warnings import data_age_seconds, judged
from sidecar.locust_api.answers import parse_plugin, parse_stats
from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity
from sidecar.model.observation import Inspected, Listed, LocustReading, LogEntry, StatsReading
from sidecar.model.snapshot import Host, Snapshot
from sidecar.monitor.assembly import Recorded
from sidecar.monitor.board import Board
from sidecar.monitor.sampler import Round, RoundPlan, Sampler, Sources, watch
from sidecar.settings.monitor import WatchSettings, from_environment
from tests.fakes import sidecar_samples as samples


class Clock:
    """A day and a stopwatch that move only when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return samples.NOW + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds


class FakeEngine:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.listing = [samples.listed(1), replace(samples.listed(9), service="locust-master", name="locust-master-1")]
        self.asked: Counter[str] = Counter()
        self.failing: set[str] = set()
        self.started_at = samples.NOW - timedelta(minutes=5)
        self.cpu_total_ns = 10**9

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if what in self.failing:
            raise EngineError(f"no {what}")

    def containers(self) -> Sequence[Listed]:
        self._ask("list")
        return self.listing

    def inspect(self, container_id: str) -> Inspected | None:
        self._ask("inspect")
        return samples.inspected(started_at=self.started_at, hostname=container_id[:12])

    def stats(self, container_id: str) -> StatsReading | None:
        del container_id
        self._ask("stats")
        made = counters(samples.recorded("v2/stats_one_shot"))
        assert made is not None
        return replace(made, cpu_total_ns=self.cpu_total_ns, system_cpu_ns=int(self.clock.seconds * 2 * 10**9))

    def logs(self, container_id: str, tail: int, *, tty: bool) -> Sequence[LogEntry]:
        del container_id, tail, tty
        self._ask("logs")
        return ()


class FakeLogs:
    problems: tuple[str, ...] = ()

    def recent(self, container_id: str, most: int) -> Sequence[LogEntry]:
        return [LogEntry(None, f"{container_id[:1]} line {number}") for number in range(3, 3 + most)]

    def unread(self) -> Sequence[str]:
        return self.problems


class FakeLocust:
    reading = LocustReading(None, "down", None)

    def read(self) -> LocustReading:
        return self.reading

    def cut(self) -> None:
        return


class FakeHost:
    failing = False

    def read(self) -> Host:
        if self.failing:
            raise OSError("no /proc")
        return samples.host()


class Rig:
    """A sampler over fakes."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.clock = Clock()
        self.engine = FakeEngine(self.clock)
        self.locust = FakeLocust()
        self.host = FakeHost()
        self.logs = FakeLogs()
        self.recorded = Recorded()
        self.problems: tuple[str, ...] = ()
        self.sampler = Sampler(
            Sources(
                self.engine, self.locust, self.host, pool, self.logs,
                recorded=lambda: self.recorded, problems=lambda: self.problems,
            ),
            RoundPlan(project="locust", interval_seconds=2.0, tail=5),
            clock=self.clock.now, monotonic=self.clock.monotonic,
        )  # fmt: skip

    def round(self, seconds: float = 2.0) -> Snapshot:
        return self.whole_round(seconds).snapshot

    def whole_round(self, seconds: float = 2.0) -> Round:
        self.clock.seconds += seconds
        return self.sampler.sample()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ThreadPoolExecutor(3) as pool:
        yield Rig(pool)


def texts(snapshot: Snapshot) -> list[str]:
    return [warning.text for warning in snapshot.warnings]


def test_a_round_lists_once_and_reads_each_running_container_once(rig: Rig) -> None:
    rig.round()
    rig.engine.asked.clear()
    snapshot = rig.round()
    assert rig.engine.asked == {"list": 1, "stats": 2}
    assert [container.service for container in snapshot.containers] == ["locust-master", "locust-worker"]


def test_the_second_round_knows_the_processor_share(rig: Rig) -> None:
    assert rig.round().containers[0].cpu_percent is None
    rig.engine.cpu_total_ns += 10**9
    # One processor second in two seconds of a machine with two.
    assert rig.round().containers[0].cpu_percent == pytest.approx(50.0)


def test_details_are_read_anew_every_ten_seconds_only(rig: Rig) -> None:
    rig.round()
    rig.engine.asked.clear()
    for _ in range(4):
        rig.round()
    assert rig.engine.asked["inspect"] == 0
    rig.round()
    assert rig.engine.asked["inspect"] == 2


def test_details_are_read_at_once_where_state_or_health_changed(rig: Rig) -> None:
    rig.round()
    rig.engine.asked.clear()
    rig.engine.listing[0] = replace(rig.engine.listing[0], health="unhealthy")
    rig.round()
    assert rig.engine.asked["inspect"] == 1


def test_details_of_a_container_that_an_event_told_of_are_read_in_the_next_round_only(rig: Rig) -> None:
    rig.round()
    rig.engine.asked.clear()
    stirred = rig.engine.listing[0].id
    rig.sampler.inspect_soon(stirred)
    reading = rig.whole_round().reading
    assert reading is not None
    assert reading.inspected == {stirred}
    rig.round()
    assert rig.engine.asked["inspect"] == 1


def test_a_round_tells_which_containers_are_gone(rig: Rig) -> None:
    rig.round()
    gone = rig.engine.listing.pop(0).id
    reading = rig.whole_round().reading
    assert reading is not None
    assert reading.gone == {gone}


def test_a_restart_between_two_rounds_gives_no_wrong_share_and_is_looked_into(rig: Rig) -> None:
    rig.round()
    rig.engine.cpu_total_ns = 5
    rig.engine.asked.clear()
    assert rig.round().containers[0].cpu_percent is None
    rig.round()
    assert rig.engine.asked["inspect"] == 2


def test_a_new_start_is_a_new_baseline_even_when_the_counter_is_ahead(rig: Rig) -> None:
    rig.round()
    rig.engine.started_at = samples.NOW
    rig.engine.cpu_total_ns += 10**9
    assert rig.round(seconds=10).containers[0].cpu_percent is None


def test_only_the_last_lines_of_the_masters_log_are_kept(rig: Rig) -> None:
    master = rig.engine.listing[1].id[:1]
    assert [entry.text for entry in rig.round().logs] == [f"{master} line {number}" for number in range(3, 8)]


def test_an_exited_container_has_no_figures(rig: Rig) -> None:
    rig.round()
    rig.engine.listing[0] = replace(rig.engine.listing[0], state="exited", health=None)
    worker = rig.round().containers[1]
    assert worker.memory_working_set_bytes is None
    assert worker.state == "exited"


def test_a_container_that_was_removed_is_forgotten(rig: Rig) -> None:
    rig.round()
    del rig.engine.listing[0]
    assert [container.service for container in rig.round().containers] == ["locust-master"]


def test_without_the_engine_the_last_containers_stay_and_are_called_stale(rig: Rig) -> None:
    fresh = rig.round()
    rig.engine.failing = {"list"}
    snapshot = rig.round()
    assert snapshot.stale
    assert snapshot.containers == fresh.containers
    assert data_age_seconds(snapshot, rig.clock.now()) == 2.0
    assert texts(snapshot)[0] == "no list"
    assert snapshot.host is not None


def test_a_failing_engine_is_asked_ever_less_often_and_found_again(rig: Rig) -> None:
    rig.engine.failing = {"list"}
    asked = []
    for _ in range(20):
        rig.round(seconds=1.0)
        asked.append(rig.engine.asked["list"])
    assert asked[-1] <= 6
    rig.engine.failing = set()
    assert not rig.round(seconds=8.0).stale


def test_stats_that_fail_cost_only_the_figures(rig: Rig) -> None:
    rig.engine.failing = {"stats"}
    snapshot = rig.round()
    assert not snapshot.stale
    assert len(snapshot.containers) == 2
    assert "the figures of 2 containers could not be read: no stats" in texts(snapshot)


def test_what_fails_beside_the_rounds_is_told(rig: Rig) -> None:
    rig.logs.problems = ("a log cannot be followed",)
    rig.problems = ("the disk is too slow",)
    rig.recorded = Recorded(problem="incidents cannot be recorded: no space")
    told = texts(rig.round())
    assert {"a log cannot be followed", "the disk is too slow", "incidents cannot be recorded: no space"} <= set(told)


def test_recorded_kills_and_reasons_stand_beside_the_container(rig: Rig) -> None:
    worker = rig.engine.listing[0]
    rig.recorded = Recorded(oom_kills={worker.id: 3}, exit_reasons={worker.id: "oom"})
    running = rig.round().containers[1]
    assert (running.oom_kills, running.exit_reason) == (3, None)
    rig.engine.listing[0] = replace(worker, state="exited")
    assert rig.round().containers[1].exit_reason == "oom"


def test_incidents_recorded_between_two_rounds_reach_the_snapshot() -> None:
    clock, recorded = Clock(), [Recorded()]
    board = Board(clock.now, lambda: recorded[0])
    board.publish(samples.running())
    first = board.current()
    kill = Incident(
        "a" * 16, IncidentKind.OOM_KILL, Severity.ERROR, samples.NOW, "killed", evidence=(EvidenceItem("log", "x"),)
    )
    recorded[0] = Recorded(incidents=(kill, replace(kill, id="b" * 16, helper=True)))
    clock.seconds += 0.6
    shown = board.current()
    assert first is not None
    assert shown is not None
    assert (len(first.incidents), [incident.id for incident in shown.incidents]) == (0, [kill.id])
    assert shown.incidents[0].evidence == ()
    assert board.current() is shown


def test_a_host_that_cannot_be_read_is_told_and_costs_nothing_else(rig: Rig) -> None:
    rig.host.failing = True
    snapshot = rig.round()
    assert snapshot.host is None
    assert len(snapshot.containers) == 2
    assert "the host's figures could not be read: no /proc" in texts(snapshot)


def test_locust_workers_are_matched_to_their_containers_by_hostname(rig: Rig) -> None:
    worker_id = f"{rig.engine.listing[0].id[:12]}_0123"
    answer = {"state": "ready", "workers": [{"id": worker_id, "state": "ready"}, {"id": "strange_1", "state": "x"}]}
    rig.locust.reading = LocustReading(parse_stats(answer), None, None)
    locust = rig.round().locust
    assert locust is not None
    assert [worker.container for worker in locust.workers] == ["locust-locust-worker-1", None]
    assert locust.workers_expected == 1


def test_a_container_of_several_processes_is_expected_to_have_them_all(rig: Rig) -> None:
    host = rig.engine.listing[0].id[:12]
    workers = [{"id": f"{host}_{n}", "state": "ready"} for n in "ab"]
    says = {"workers": {f"{host}_a": {"processes": 3}, f"{host}_b": {"processes": 1}}}  # the second has not said so yet
    rig.locust.reading = LocustReading(parse_stats({"state": "ready", "workers": workers}), None, parse_plugin(says))
    locust = rig.round().locust
    assert locust is not None
    assert (locust.workers_here, locust.workers_expected) == (2, 3)
    assert "only 2 of 3 running workers are connected to the master" in texts(rig.round())


def test_a_worker_that_never_was_in_a_container_of_this_engine_is_remote_and_counted_apart(rig: Rig) -> None:
    here = rig.engine.listing[0].id[:12]
    workers = [{"id": f"{name}_1", "state": "ready"} for name in (here, "load2", "load2")]
    rig.locust.reading = LocustReading(parse_stats({"state": "ready", "workers": workers}), None, None)
    locust = rig.round().locust
    assert locust is not None
    assert [(worker.container, worker.remote) for worker in locust.workers][1:] == [(None, True), (None, True)]
    assert not locust.workers[0].remote
    assert (locust.workers_here, locust.workers_expected, locust.workers_remote) == (1, 1, 2)


def test_a_worker_whose_container_was_removed_is_not_taken_for_a_remote_one(rig: Rig) -> None:
    gone = rig.engine.listing[0].id[:12]
    rig.locust.reading = LocustReading(
        parse_stats({"state": "ready", "workers": [{"id": f"{gone}_1", "state": "missing"}]}), None, None
    )
    rig.round()
    del rig.engine.listing[0]
    locust = rig.round().locust
    assert locust is not None
    assert [(worker.container, worker.remote) for worker in locust.workers] == [(None, False)]


def test_while_docker_is_silent_nobody_is_called_remote(rig: Rig) -> None:
    rig.locust.reading = LocustReading(
        parse_stats({"state": "ready", "workers": [{"id": "load2_1", "state": "ready"}]}), None, None
    )
    rig.engine.failing = {"list"}
    locust = rig.round().locust
    assert locust is not None
    assert not locust.workers[0].remote


def test_a_snapshot_that_is_overdue_counts_as_stale() -> None:
    snapshot = samples.running()
    assert not judged(snapshot, samples.NOW + timedelta(seconds=5)).stale
    assert judged(snapshot, samples.NOW + timedelta(seconds=7)).stale
    slow = replace(snapshot, interval_seconds=10.0)
    assert not judged(slow, samples.NOW + timedelta(seconds=29)).stale


def test_the_sidecar_is_well_while_rounds_are_made_even_when_docker_is_silent() -> None:
    async def run() -> list[bool]:
        moment = [samples.NOW]
        board = Board(lambda: moment[0])
        found = [board.passed()]
        board.publish(samples.stale())
        found.append(board.passed())
        moment[0] += timedelta(seconds=10)
        return [*found, board.passed()]

    assert asyncio.run(run()) == [False, True, False]


def test_pauses_double_up_to_a_ceiling_and_a_success_ends_them() -> None:
    backoff, pauses = Backoff(first_seconds=1.0, most_seconds=30.0), []
    for _ in range(7):
        backoff = backoff.failed(100.0)
        pauses.append(backoff.next_try_seconds - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert not backoff.due(129.9)
    assert backoff.due(130.0)
    assert backoff.succeeded().due(0.0)


def test_the_loop_goes_on_after_a_round_that_broke() -> None:
    calls = 0

    def flaky() -> Round:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a mistake")
        return Round(samples.running(), None)

    beats: list[int] = []

    async def run() -> tuple[list[float], Snapshot | None]:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                raise asyncio.CancelledError

        board = Board(lambda: samples.NOW)
        with pytest.raises(asyncio.CancelledError):
            await watch(
                flaky,
                board,
                2.0,
                monotonic=lambda: 0.0,
                beat=lambda: beats.append(1),
                sleep=sleep,
            )
        return slept, board.current()

    slept, shown = asyncio.run(run())
    assert slept == [1.0, 2.0, 2.0]
    assert len(beats) == 2
    assert shown == samples.running()


def test_the_environment_of_the_sidecar_is_read() -> None:
    found = from_environment({"PROJECT": "two", "INTERVAL": "0.5", "TAIL": "0", "LISTEN": "127.0.0.1:1", "X": "y"})
    assert (found.project, found.interval, found.tail) == ("two", 0.5, 0)
    assert found.listen == ("127.0.0.1", 1)


def test_empty_variables_count_as_unset() -> None:
    assert from_environment({"PROJECT": "", "INTERVAL": "", "TAIL": "", "LISTEN": ""}) == WatchSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("INTERVAL", "soon"), ("INTERVAL", "0"), ("INTERVAL", "nan"), ("TAIL", "-1"), ("TAIL", "x"), ("LISTEN", "8090")],
)
def test_a_variable_that_cannot_be_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is '{value}'.*expected"):
        from_environment({name: value})
