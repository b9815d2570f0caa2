"""What workers send is looked at before the master adds anything of it."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import locust.log
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locust import User
from locust.env import Environment
from locust.event import Events
from locust.exception import RPCError, RPCReceiveError
from locust.rpc.protocol import Message
from locust_kit import messages, meters, report_check, run_folder
from locust_kit.loaded_files import Disk
from locust_kit.master import MasterPart
from locust_kit.messages import Inbox
from locust_kit.refusals import Refusals
from locust_kit.worker_report import REPORT_KEY

from tests.fakes.worker_reports import (
    FAILED,
    FILES,
    ODD,
    REQUESTS,
    at_random,
    bent,
    genuine,
    large,
    message_at_random,
    paths,
)

GOOD, BAD = "w-2", "w-1"


class Rig:
    """A real master with two workers that registered, in a run."""

    def __init__(self, folder: Path) -> None:
        self.environment = Environment(user_classes=[type("Shopper", (User,), {})], events=Events(), host="http://shop")
        self.environment.parsed_options = SimpleNamespace(run_time=None, enable_rebalancing=False, headless=False)
        self.runner: Any = self.environment.create_master_runner("127.0.0.1", 0)
        self.runner.server.send_to_client = lambda _: None
        self.part = MasterPart(self.environment, dict(FILES))
        self.part._disk = Disk(FILES, folder)
        self.part.listen()
        self.runner.greenlet.kill()  # no heartbeat comes, and in seconds the workers would be missing
        for worker in (BAD, GOOD):
            self.hear(worker, "client_ready", "2.47.0")
        self.begin()

    def begin(self) -> None:
        self.environment.stats.clear_all()
        self.environment.events.test_start.fire(environment=self.environment)
        self.runner.state = "running"

    def hear(self, worker: str, kind: Any, data: Any) -> None:
        """Let the master read one message, as its listener does."""
        message = Message(kind, data, worker)
        inbox = Inbox(self.runner, self.part._readings.refusals)
        waiting = iter([(worker, message)])

        def receive() -> tuple[str, Any]:
            try:
                return next(waiting)
            except StopIteration:
                raise RPCError("that was the last one") from None

        with contextlib.suppress(RPCError):  # it was passed over
            self.runner.handle_message(*inbox.receive(receive))

    def report(self, data: Any, worker: str = BAD) -> None:
        self.hear(worker, "stats", data)

    def figures(self) -> dict[str, Any]:
        """Everything that a report may change, but for what was refused."""
        total, part = self.environment.stats.total, self.part
        return {
            "total": (total.num_requests, total.num_failures, total.total_response_time),
            "entries": {key: entry.num_requests for key, entry in self.environment.stats.entries.items()},
            "errors": {key: error.occurrences for key, error in self.environment.stats.errors.items()},
            "failures": part._failures.collection.failures,
            "times": {key: times.good.count for key, times in part._failures.performance.endpoints.items()},
            "users": {client.id: dict(client.user_classes_count) for client in self.runner.clients.values()},
            "latest": copy.deepcopy(part._reports.latest),
            "files": dict(part._reports.files),
        }

    @property
    def refused(self) -> list[dict[str, Any]]:
        return self.part._readings.refusals.document()

    def refused_count(self) -> int:
        """How many were refused; one that never arrived is said with the next one, which is added."""
        return sum(row["count"] for row in self.refused if row["reason"] != "a report was lost on the way")

    def is_sound(self) -> None:
        """All documents can be made, and are strict JSON."""
        stats = self.environment.stats
        made = [self.part._status(), self.part._failures.document(), self.part._failures.times()]
        made += [entry.to_dict() for entry in [*stats.entries.values(), stats.total]]
        json.dumps(made, allow_nan=False)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(run_folder, "RUNS", tmp_path)
    monkeypatch.setattr(locust.log, "unhandled_greenlet_exception", False)
    made = Rig(tmp_path)
    yield made
    made.runner.greenlet.kill(block=False)
    made.runner.server.close(linger=0)
    messages._Installed.inbox = None


def test_what_listeners_report_on_the_master_is_taken_in_during_the_run(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr("locust_kit.failures.account._LOCAL_SECONDS", 0.01)
    rig = request.getfixturevalue("rig")
    rig.environment.events.request.fire(
        request_type="GET", name="/stock", response_time=3.0, response_length=0, exception=OSError("no stock")
    )
    with gevent.Timeout(30):
        while not rig.part._failures.collection.failures:
            gevent.sleep(0.01)
    assert rig.part._failures.counters.report()["rows"] == []


def test_a_genuine_report_is_added_and_nothing_is_refused(rig: Rig) -> None:
    rig.report(genuine())
    assert rig.figures()["total"][:2] == (REQUESTS, FAILED)
    assert rig.figures()["failures"] == FAILED
    assert rig.refused == []
    rig.is_sound()


def test_a_total_without_a_method_is_genuine_where_it_is_none_as_in_locust_2_44(rig: Rig) -> None:
    rig.report(bent(genuine(), ("stats_total", "method"), None))
    assert rig.figures()["total"][:2] == (REQUESTS, FAILED)
    lacking = genuine()
    del lacking["stats_total"]["method"]
    rig.report(lacking)
    assert [refused["reason"] for refused in rig.refused] == ["stats_total: method is not a text"]
    assert rig.figures()["total"][:2] == (REQUESTS, FAILED)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1, "5", None, 2**62, 0.5, [], {}], ids=repr)
@pytest.mark.parametrize("field", ["num_requests", "num_failures", "num_none_requests"])
@pytest.mark.parametrize("place", [("stats", 0), ("stats_total",)], ids=repr)
def test_a_count_that_is_none_has_its_whole_report_refused(
    rig: Rig, place: tuple[Any, ...], field: str, odd: Any
) -> None:
    before = rig.figures()
    rig.report(bent(genuine(), (*place, field), odd))
    assert rig.figures() == before
    (refused,) = rig.refused
    assert (refused["worker"], refused["count"], refused["changes_figures"]) == (BAD, 1, True)
    assert field in refused["reason"]
    rig.is_sound()


@pytest.mark.parametrize(
    ("place", "odd"),
    [
        (("stats", 0, "num_reqs_per_sec"), {2**60: 1}),
        (("stats", 0, "num_reqs_per_sec"), {-1: 1}),
        (("stats", 0, "response_times"), {12: 10**9}),
        (("stats", 0, "response_times"), {math.nan: 1}),
        (("stats", 0, "start_time"), 0),
        (("stats", 0, "last_request_timestamp"), 1e308),
        (("stats", 0, "name"), 7),
        (("stats", 0, "method"), None),
        (("stats",), None),
        (("errors",), []),
        (("user_classes_count",), {"Shopper": -3}),
        (("user_classes_count",), 5),
        ((REPORT_KEY, "files"), {"/dev/zero": "ab" * 32}),
        ((REPORT_KEY, "files"), {"../../etc/passwd": "ab" * 32}),
        ((REPORT_KEY, "files"), {"locustfile.py": 5}),
        ((REPORT_KEY, "failures", "performance", 0, 2), {10**6: 1}),
        ((REPORT_KEY, "failures", "performance", 0, 3), math.nan),
        ((REPORT_KEY, "failures", "groups", 0, 2), "no such class"),
        ((REPORT_KEY, "failures", "groups", 0, 6), 1e300),
        ((REPORT_KEY, "failures", "rows", 0), [1, 2]),
        ((REPORT_KEY, "memory"), {"rss_bytes": math.inf}),
        ((REPORT_KEY, "cost"), []),
        ((REPORT_KEY, "retries"), -5),
        ((REPORT_KEY, "meters"), {"a": {"b": [math.nan]}}),
        ((), None),
        ((), []),
    ],
    ids=repr,
)
def test_what_cannot_be_true_is_refused_whole(rig: Rig, place: tuple[Any, ...], odd: Any) -> None:
    before = rig.figures()
    rig.report(bent(genuine(), place, odd))
    assert rig.figures() == before
    assert [refused["count"] for refused in rig.refused] == [1]
    rig.is_sound()
    rig.report(genuine(), GOOD)
    assert rig.figures()["total"][:2] == (REQUESTS, FAILED)


def test_a_refused_report_without_a_request_changed_no_figure(rig: Rig) -> None:
    empty = genuine(requests=0, failed=0)
    rig.report(bent(empty, (REPORT_KEY, "files"), {"/dev/zero": "ab" * 32}))
    assert [refused["changes_figures"] for refused in rig.refused] == [False]
    assert rig.part._readings.refusals.changed_figures == 0


def test_a_refusal_is_logged_once_each_and_counted_by_run(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        rig.report(bent(genuine(), ("stats_total", "num_requests"), -7))
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 1
    assert "'w-1'" in lines[0]
    assert "-7" in lines[0]
    assert rig.refused[0]["count"] == 3
    assert rig.part._status()["meters"]["reports"]["refused"] == rig.refused
    rig.begin()
    assert rig.refused == []


def test_so_many_refusals_are_kept_apart_and_no_more() -> None:
    refusals = Refusals()
    for number in range(1000):
        refusals.add(f"w-{number}", "no")
    assert len(refusals.document()) <= 201
    assert sum(refused["count"] for refused in refusals.document()) == 1000


def test_a_report_of_a_worker_that_never_registered_is_not_added(rig: Rig) -> None:
    before = rig.figures()
    rig.report(genuine(), "w-of-another-master")
    assert rig.figures() == before
    assert [refused["changes_figures"] for refused in rig.refused] == [False]


def test_a_report_of_an_earlier_run_is_not_added_to_this_one(rig: Rig) -> None:
    earlier = rig.part._run
    assert earlier
    late = bent(genuine(), (REPORT_KEY, "meters", "run_id"), earlier.run_id)
    rig.report(late)
    assert rig.figures()["total"][0] == REQUESTS
    rig.begin()
    rig.report(late)
    assert rig.figures()["total"][0] == 0
    assert [refused["reason"] for refused in rig.refused] == ["a report from an earlier run"]


def test_only_files_that_the_master_loaded_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text("1")
    (tmp_path / "secret.txt").write_text("2")
    os.mkfifo(tmp_path / "pipe.py")
    disk = Disk({"locustfile.py", "pipe.py", "gone.py"}, tmp_path)
    asked = dict.fromkeys(("locustfile.py", "secret.txt", "missing.txt", "/dev/zero", "pipe.py", "gone.py"), "0" * 64)
    assert disk.changed(asked) == ["locustfile.py", "pipe.py", "gone.py"]


def test_meters_are_checked_by_merging_them(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lag:
        name = "lag"
        never_falls = ("blocked",)

        @staticmethod
        def merged(by_worker: Any) -> dict[str, Any]:
            return {"blocked": sum(document["blocked"] for document in by_worker.values())}

        @staticmethod
        def moment(merged: dict[str, Any]) -> dict[str, Any]:
            return merged

    monkeypatch.setattr(meters, "METERS", (Lag,))
    rig.begin()
    run = rig.part._run
    assert run

    def sent(document: Any) -> dict[str, Any]:
        report: dict[str, Any] = bent(genuine(), (REPORT_KEY, "meters"), {"run_id": run.run_id, "lag": document})
        return report

    rig.report(sent({"blocked": 5}))
    for document in ({"blocked": 4}, {"blocked": -1}, {"blocked": "7"}, {"blocked": [7]}, {}, 7, {"blocked": math.nan}):
        rig.report(sent(document))
        assert rig.part._readings.merged()["lag"] == {"blocked": 5}, document
    rig.report(sent({"blocked": 6}))
    rig.report(sent({"blocked": 2}), GOOD)
    assert rig.part._readings.moment()["lag"] == {"blocked": 8}
    assert rig.figures()["total"][0] == 3 * REQUESTS
    rig.is_sound()


_MESSAGES: list[tuple[Any, Any]] = [
    ("heartbeat", None),
    ("heartbeat", {}),
    ("heartbeat", {"state": "running"}),
    ("heartbeat", {"state": "on fire", "current_cpu_usage": 1}),
    ("heartbeat", {"state": ["running"], "current_cpu_usage": 1}),
    ("heartbeat", {"state": "running", "current_cpu_usage": "much"}),
    ("heartbeat", {"state": "running", "current_cpu_usage": math.nan}),
    ("heartbeat", {"state": "running", "current_cpu_usage": 1, "current_memory_usage": "much"}),
    ("client_ready", {"a": 1}),
    ("client_ready", 7),
    ("client_ready", "9" * 10_000),
    ("spawning_complete", None),
    ("spawning_complete", {"user_classes_count": {"Shopper": "many"}}),
    ("spawning_complete", {"user_classes_count": [1]}),
    ("logs", None),
    ("logs", {"worker_id": GOOD, "logs": ["of another"]}),
    ("logs", {"worker_id": BAD, "logs": 5}),
    ("exception", None),
    ("exception", {"msg": 5, "traceback": None}),
    ("locustfile", None),
    ("no such type", {}),
    (None, {}),
    ({}, {}),
]


@pytest.mark.parametrize(("kind", "data"), _MESSAGES, ids=repr)
def test_an_odd_message_is_passed_over_and_the_next_one_is_heard(rig: Rig, kind: Any, data: Any) -> None:
    before = {client.id: (client.state, client.cpu_usage) for client in rig.runner.clients.values()}
    rig.hear(BAD, kind, data)
    assert {client.id: (client.state, client.cpu_usage) for client in rig.runner.clients.values()} == before
    assert [(refused["worker"], refused["changes_figures"]) for refused in rig.refused] == [(BAD, False)]
    rig.hear(BAD, "heartbeat", {"state": "running", "current_cpu_usage": 12.5, "current_memory_usage": 9})
    assert rig.runner.clients[BAD].cpu_usage == 12.5
    rig.is_sound()


def test_no_worker_speaks_for_another(rig: Rig) -> None:
    rig.report(genuine(), GOOD)
    before = rig.figures()
    inbox = Inbox(rig.runner, rig.part._readings.refusals)
    answers = iter(
        [(BAD, Message("stats", genuine(), GOOD)), (BAD, Message("quit", None, GOOD)), (BAD, Message("x", 1, 5))]
    )

    def receive() -> tuple[str, Any]:
        try:
            return next(answers)
        except StopIteration:
            raise RPCError("no more") from None

    with pytest.raises(RPCError, match="no more"):
        inbox.receive(receive)
    assert rig.figures() == before
    assert sum(refused["count"] for refused in rig.refused) == 3


def test_what_is_no_message_is_counted_by_sender_and_the_next_one_is_read(rig: Rig) -> None:
    inbox = Inbox(rig.runner, rig.part._readings.refusals)
    wrong: list[Any] = [
        RPCReceiveError("no message", addr=BAD), IndexError("one frame"), ValueError("no msgpack"),
        TypeError("a tuple of two"), RecursionError("deep"), Exception("you need to install bson"),
    ]  # fmt: skip
    heard = Message("heartbeat", {"state": "running", "current_cpu_usage": 1}, GOOD)

    def receive() -> tuple[str, Any]:
        if wrong:
            raise wrong.pop(0)
        return GOOD, heard

    assert inbox.receive(receive) == (GOOD, heard)
    assert {(refused["worker"], refused["count"]) for refused in rig.refused} == {(BAD, 1), ("somebody", 5)}


def test_an_exception_while_locust_handles_a_message_ends_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.runner, "get_worker_index", lambda _: 1 / 0)
    rig.hear(BAD, "client_ready", "2.47.0")
    assert "ZeroDivisionError" in rig.refused[0]["reason"]


@pytest.mark.parametrize("step", ["_failures.end", "_failures.save", "_readings.merged", "_recorder._note_moment"])
def test_a_run_is_closed_whatever_step_fails_and_the_next_one_inherits_nothing(
    rig: Rig, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.report(genuine(users=0))
    owner, name = step.split(".")
    with monkeypatch.context() as broken:
        broken.setattr(getattr(rig.part, owner), name, lambda *_: 1 / 0)
        rig.environment.events.test_stop.fire(environment=rig.environment)
        with contextlib.suppress(ZeroDivisionError):
            rig.part._close()
    assert not rig.part._recorder.is_open
    rig.begin()
    assert rig.part._recorder.is_open
    assert rig.part._failures.collection.failures == 0
    assert rig.part._reports.latest == {"memory": {}, "cost": {}}
    assert rig.part._readings.merged()["users"]["requests"] == 0
    rig.report(genuine())
    assert rig.figures()["total"][:2] == (REQUESTS, FAILED)


def test_a_report_that_never_arrived_is_counted(rig: Rig) -> None:
    def numbered(number: Any) -> dict[str, Any]:
        report: dict[str, Any] = bent(genuine(), (REPORT_KEY, "number"), number)
        return report

    for number in (41, 42, 43):
        rig.report(numbered(number))
    assert rig.refused == []
    for later in (46, "x", 47):
        rig.report(numbered(later))
    rig.report(numbered(1), GOOD)
    (lost,) = rig.refused
    assert (lost["worker"], lost["reason"], lost["count"]) == (BAD, "a report was lost on the way", 2)
    rig.begin()
    rig.report(numbered(60))
    assert rig.refused == []


_BASE = genuine()
_PLACES = list(paths(_BASE))
_SINGLE = st.one_of(st.sampled_from(ODD), st.integers(), st.floats(), st.text(max_size=5))
_ANY = st.one_of(
    _SINGLE,
    st.lists(_SINGLE, max_size=9),
    st.dictionaries(st.sampled_from((-1, 2**60, "name", "num_requests", "")), _SINGLE, max_size=3),
)


@given(st.lists(st.tuples(st.integers(0, len(_PLACES) - 1), _ANY), max_size=3), st.integers(0, 9))
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_report_breaks_the_master_or_changes_a_figure_of_another_worker(
    rig: Rig, changes: list[tuple[int, Any]], tenth: int
) -> None:
    before = rig.figures()
    report: Any = _BASE
    for number, odd in changes:
        place = _PLACES[number]
        try:
            report = bent(report, place, odd)
        except (TypeError, LookupError, AttributeError):
            report = bent(_BASE, place, odd)
    holds(rig, before, report)
    if not tenth:
        rig.is_sound()
        before = rig.figures()
        rig.report(_BASE, GOOD)
        assert rig.figures()["total"][0] == before["total"][0] + REQUESTS
        assert rig.figures()["failures"] == before["failures"] + FAILED


def holds(rig: Rig, before: dict[str, Any], report: Any) -> None:
    """Hear a report: it is added whole, or nothing of it; of the other worker nothing changes."""
    count = rig.refused_count()
    rig.report(report)
    after = rig.figures()
    if rig.refused_count() > count:
        assert after == before
    else:
        assert after["total"][0] - before["total"][0] == report["stats_total"].get("num_requests", 0) >= 0
    assert locust.log.unhandled_greenlet_exception is False  # else an exception in a listener was logged
    assert after["users"].get(GOOD) == before["users"].get(GOOD)
    assert all(after["latest"][key].get(GOOD) == before["latest"][key].get(GOOD) for key in after["latest"])


@pytest.mark.parametrize("count", [300, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_random_reports_and_messages_from_a_seed(rig: Rig, count: int) -> None:
    chance = random.Random(17)  # noqa: S311  the same reports each time
    longest = 0.0
    for number in range(count):
        before = rig.figures() if number % 100 == 0 else None
        report = at_random(chance, _BASE, _PLACES)
        if number % 1000 == 999:
            report = large(report, chance.choice((100, 3000)))
        kind, data = message_at_random(chance)
        began = time.process_time()  # of this process: another one that has the machine is not its fault
        rig.report(report)
        rig.hear(BAD, kind, data)
        longest = max(longest, time.process_time() - began)
        if before is not None:
            holds(rig, rig.figures(), report)
    print(f"{count} reports: the longest held the master up for {1000 * longest:.1f} ms")
    assert report_check.MOST_COUNT > rig.environment.stats.total.num_requests >= 0
