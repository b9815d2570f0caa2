from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from sidecar.commands.follow import FollowLimits, Interrupted, RunObserved, before, follow, observe, run_state, settle
from sidecar.commands.stopping import wait
from sidecar.common.console import Console
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterDownError, MasterSlowError
from tests.fakes.fake_master import figures
from tests.fakes.fake_time import FakeTime

NO_END = FollowLimits(run_time=0, stop_timeout=0)


class ScriptedWeb(LocustApi):
    """Gives the scripted answers one after the other; the last one for ever."""

    def __init__(self, *answers: dict[str, Any] | BaseException) -> None:
        super().__init__("http://127.0.0.1:1/")
        self.answers = list(answers)
        self.stops = 0
        self.statuses: list[dict[str, Any]] = []

    def stats(self) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def status(self) -> dict[str, Any] | None:
        return self.statuses.pop(0) if self.statuses else None

    def stop(self, by: str = "", timeout_seconds: float = 90) -> None:
        del by, timeout_seconds
        self.stops += 1


def watch(
    web: LocustApi, time: FakeTime, limits: FollowLimits = NO_END, idle: dict[str, Any] | None = None
) -> RunObserved:
    return follow(web, limits, time.clock(), lambda _seen, _seconds: None, before(idle or figures("ready")))


def test_a_run_is_followed_to_its_end(fake_time: FakeTime) -> None:
    web = ScriptedWeb(figures("spawning", 1), figures("running", 5), figures("stopping", 8), figures("stopped", 9, 2))
    seen = watch(web, fake_time)
    assert (seen.ended, seen.requests, seen.failures, seen.master_lost) == (True, 9, 2, "")
    assert fake_time.seconds == 3


def test_the_end_of_the_run_before_is_not_taken_for_this_one(fake_time: FakeTime) -> None:
    old = figures("stopped", 100)
    seen = watch(ScriptedWeb(old, old, figures("running", 3), figures("stopped", 7)), fake_time, idle=old)
    assert seen.requests == 7


def test_a_run_that_is_too_short_to_be_seen_is_known_by_its_figures(fake_time: FakeTime) -> None:
    old = figures("stopped", 100)
    seen = watch(ScriptedWeb(old, figures("stopped", 4)), fake_time, FollowLimits(1, 0), idle=old)
    assert (seen.started, seen.ended, seen.requests) == (True, True, 4)


def test_a_run_that_never_starts_ends_without_figures(fake_time: FakeTime) -> None:
    old = figures("stopped", 100)
    seen = watch(ScriptedWeb(old), fake_time, FollowLimits(5, 0), idle=old)
    assert (seen.started, seen.ended, seen.requests) == (False, True, 0)
    assert fake_time.seconds < 30


@pytest.mark.parametrize(
    "after", [figures("ready"), figures("ready", workers={}), figures("stopped", 0, workers={"new": "ready"})]
)
def test_a_restarted_master_is_told(after: dict[str, Any], fake_time: FakeTime) -> None:
    seen = watch(ScriptedWeb(figures("running", 5), after), fake_time)
    assert seen.master_lost == "the master was restarted during the run"
    assert seen.requests == 5, "the figures of the run stay those of the old master"


def test_a_master_that_is_gone_is_told_after_twenty_seconds(fake_time: FakeTime) -> None:
    seen = watch(ScriptedWeb(figures("running", 5), MasterDownError("gone")), fake_time)
    assert seen.master_lost == "the master was lost during the run"
    assert 20 <= fake_time.seconds < 25


def test_a_short_outage_is_forgiven(fake_time: FakeTime) -> None:
    outage: list[dict[str, Any] | BaseException] = [MasterDownError("gone")] * 15
    seen = watch(
        ScriptedWeb(figures("running", 5), *outage, figures("running", 6), *outage, figures("stopped", 9)), fake_time
    )
    assert (seen.master_lost, seen.requests) == ("", 9)


def test_a_slow_master_is_given_more_time_than_a_silent_port(fake_time: FakeTime) -> None:
    slow: list[dict[str, Any] | BaseException] = [MasterSlowError("slow")] * 60
    assert watch(ScriptedWeb(figures("running", 5), *slow, figures("stopped", 9)), fake_time).master_lost == ""
    assert watch(ScriptedWeb(figures("running", 5), MasterSlowError("slow")), FakeTime()).master_lost != ""


def test_a_missing_worker_is_lost_even_when_it_comes_back() -> None:
    seen = before(figures("ready"))
    for states in (
        {"w1": "running", "w2": "running"},
        {"w1": "running", "w2": "missing"},
        {"w1": "running", "w2": "running"},
    ):
        seen = observe(seen, figures("running", 5, workers=states))
    assert (seen.missing, seen.left) == (frozenset({"w2"}), frozenset())


def test_a_worker_that_was_missing_before_the_run_is_not_this_runs_loss() -> None:
    states = {"w1": "running", "old": "missing"}
    seen = observe(before(figures("ready", workers=states)), figures("running", 5, workers=states))
    assert observe(seen, figures("running", 6, workers={"w1": "running"})).missing == frozenset()


def test_a_worker_that_says_goodbye_left_and_is_not_lost() -> None:
    seen = observe(before(figures("ready")), figures("running", 5, workers={"w1": "running", "w2": "running"}))
    seen = observe(seen, figures("running", 6, workers={"w1": "running"}))
    assert (seen.missing, seen.left) == (frozenset(), frozenset({"w2"}))


def test_a_missing_worker_that_is_dropped_after_a_minute_stays_lost() -> None:
    seen = observe(before(figures("ready")), figures("running", 5, workers={"w1": "running", "w2": "missing"}))
    seen = observe(seen, figures("running", 6, workers={"w1": "running"}))
    assert (seen.missing, seen.left) == (frozenset({"w2"}), frozenset())


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (figures("stopping", workers={"a": "ready", "b": "missing"}), "stopped"),
        (figures("stopping", workers={"a": "running", "b": "missing"}), "stopping"),
        (figures("stopping", workers={"a": "ready", "b": "missing"}, users=3), "stopping"),
        (figures("stopping", workers={"a": "ready"}), "stopping"),
        (figures("running"), "running"),
    ],
)
def test_stopping_is_over_when_only_missing_workers_are_waited_for(answer: dict[str, Any], state: str) -> None:
    assert run_state(answer) == state


def test_a_run_that_outlives_its_time_is_stopped(fake_time: FakeTime) -> None:
    web = ScriptedWeb(figures("running", 5))
    seen = watch(web, fake_time, FollowLimits(10, 5))
    assert web.stops > 0
    assert seen.ended
    assert 45 < fake_time.seconds < 150


def test_ctrl_c_gives_what_was_seen(fake_time: FakeTime) -> None:
    with pytest.raises(Interrupted) as caught:
        watch(ScriptedWeb(figures("running", 5), KeyboardInterrupt()), fake_time)
    assert caught.value.seen.requests == 5


def test_after_a_stop_the_last_figures_are_waited_for(fake_time: FakeTime) -> None:
    seen = observe(before(figures("ready")), figures("running", 5))
    web = ScriptedWeb(figures("stopping", 6), figures("stopped", 8))
    shown: list[str] = []
    assert settle(web, seen, fake_time.clock(), 60, lambda now: shown.append(now.stopping)).requests == 8
    assert shown == ["", ""]
    stuck = settle(ScriptedWeb(figures("stopping", 6)), seen, fake_time.clock(), 60, lambda _: None)
    assert (stuck.ended, stuck.requests) == (False, 6)


@pytest.mark.parametrize(
    ("answers", "started", "requests", "seconds"),
    [
        ([figures("stopped", 100)], False, 0, 5),
        ([figures("stopped", 4)], True, 4, 5.5),
        ([*[figures("stopping", 4)] * 15, figures("stopped", 6)], True, 6, 7.5),
    ],
    ids=["there was none", "it is over", "it says goodbye"],
)
def test_a_run_that_was_stopped_before_it_was_seen_is_known_by_later_figures(
    answers: list[dict[str, Any]], *, started: bool, requests: int, seconds: float, fake_time: FakeTime
) -> None:
    seen = settle(ScriptedWeb(*answers), before(figures("stopped", 100)), fake_time.clock(), 600, lambda _: None)
    assert (seen.started, seen.ended, seen.requests) == (started, True, requests)
    assert fake_time.seconds == seconds


def test_the_next_run_is_not_taken_for_one_that_was_stopped_before_it_was_seen(fake_time: FakeTime) -> None:
    web = ScriptedWeb(*[figures("stopped", 100)] * 4, figures("spawning", 3))
    own, following = ({"run": {"run_id": name}} for name in ("run-2", "run-3"))
    web.statuses = [own, own, own, own, following]
    idle = replace(before(figures("stopped", 100)), run_id="run-2")
    seen = settle(web, idle, fake_time.clock(), 600, lambda _: None)
    assert (seen.ended, seen.requests, seen.run_id, seen.master_lost) == (True, 0, "run-2", "")
    assert fake_time.seconds == 2


def stopping(seconds: float, **meter: object) -> dict[str, Any]:
    return {"is_run_open": True, "stopping_seconds": seconds, "meters": {"stopping": meter}}


def test_a_run_is_over_when_its_goodbye_is_and_says_what_it_waits_for(fake_time: FakeTime) -> None:
    web = ScriptedWeb(figures("running", 5), figures("stopping", 8), figures("stopped", 9))
    web.statuses = [
        stopping(18.2, users_in_on_stop=20),
        stopping(30, users_in_on_stop=0, users_in_tasks=0, waits_for="test_stop of locustfile.py:20"),
        {"is_run_open": False, "stopping_seconds": None},
    ]
    said: list[str] = []
    idle = before(figures("ready"))
    seen = follow(web, FollowLimits(20, 0), fake_time.clock(), lambda now, _: said.append(now.stopping), idle)
    assert said == ["", "20 users in on_stop, 18 s", "test_stop of locustfile.py:20, 30 s", ""]
    assert (seen.ended, fake_time.seconds, web.stops) == (True, 3, 0)


class Hanging(ScriptedWeb):
    """Stops after a while, and then waits for a listener that does not end."""

    def __init__(self, time: FakeTime, began: float, state: str) -> None:
        super().__init__(figures("running", 5))
        self.time, self.began, self.state = time, began, state

    def stats(self) -> dict[str, Any]:
        return figures("running" if self.time.seconds < self.began else self.state, 5)

    def status(self) -> dict[str, Any]:
        return stopping(self.time.seconds - self.began, waits_for="test_stop of locustfile.py:20")


@pytest.mark.parametrize("state", ["stopping", "stopped"])
@pytest.mark.parametrize("run_time", [0, 2000])
def test_a_listener_that_hangs_is_waited_for_ten_minutes_from_the_stop_and_no_longer(
    state: str, run_time: int, fake_time: FakeTime
) -> None:
    web = Hanging(fake_time, 2000, state)
    seen = watch(web, fake_time, FollowLimits(run_time, 30))
    assert (seen.ended, seen.stopping) == (True, "test_stop of locustfile.py:20, 631 s")
    assert (fake_time.seconds, web.stops) == (2631, 0)


def test_workers_that_register_anew_after_a_stop_did_not_leave() -> None:
    seen = observe(before(figures("ready")), figures("running", 5, workers={"w1": "running", "w2": "running"}))
    assert observe(seen, figures("stopping", 6, workers={"w1": "running"})).left == frozenset()


def test_the_next_run_waits_for_the_last_one_and_says_so_once(fake_time: FakeTime) -> None:
    web = ScriptedWeb(figures("stopping", 8))
    web.statuses = [stopping(12, users_in_on_stop=3, users_in_tasks=1), {"workers_to_return": 2}]
    said = io.StringIO()
    wait(web, Console(said), fake_time.clock())
    assert (
        said.getvalue().strip()
        == "the last run is still stopping, waiting for it (3 users in on_stop, 1 user in tasks, 12 s)"
    )
    assert fake_time.seconds == 2


def test_a_run_that_another_one_follows_at_once_keeps_its_own_figures(fake_time: FakeTime) -> None:
    web = ScriptedWeb(figures("running", 5), figures("stopping", 8), figures("spawning", 1))
    first, second = ({**stopping(3), "run": {"run_id": name}} for name in ("run-1", "run-2"))
    web.statuses = [first, second]
    seen = watch(web, fake_time)
    assert (seen.ended, seen.requests, seen.run_id, seen.master_lost) == (True, 8, "run-1", "")
    web = ScriptedWeb(figures("running", 5), figures("stopping", 8), figures("stopping", 9))
    web.statuses = [first, second]
    assert watch(web, fake_time).run_id == "run-1"


def test_a_master_that_restarts_while_a_run_is_stopping_is_lost(fake_time: FakeTime) -> None:
    web = ScriptedWeb(figures("running", 5), figures("stopping", 8), figures("ready", 0))
    web.statuses = [{**stopping(3), "run": {"run_id": "run-1"}}, {"run": None}]
    seen = watch(web, fake_time)
    assert (seen.ended, seen.requests, seen.master_lost) == (True, 8, "the master was restarted during the run")
