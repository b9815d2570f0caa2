"""Whatever a locustfile or a target brings, a worker's report can be sent, and what fails inside is one warning."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust.env import Environment
from locust.event import EventHook, Events
from locust.exception import RescheduleTask, StopUser
from locust.rpc.protocol import Message
from locust.rpc.zmqrpc import BaseSocket
from locust.runners import STATE_RUNNING
from locust_kit import messages
from locust_kit.guard import follow_resets, guarded, keep_doing, reach_all
from locust_kit.worker import WorkerPart

HALF = "\ud800 bad"


class Unspeakable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise ZeroDivisionError

    @property
    def reason(self) -> str:
        raise ZeroDivisionError


class Raising:
    """A response of which nothing can be read."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class Broken(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        raise ZeroDivisionError

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        return 1


class Answer:
    def __init__(self, status: Any, headers: Any, content: Any) -> None:
        self.status_code, self.headers, self._content, self.url = status, headers, content, HALF


class Runner:
    def _send_stats(self) -> None:
        raise OSError("no master")


@pytest.fixture
def worker() -> Iterator[Environment]:
    """A worker's environment with the plugin, without a connection."""
    callbacks, environment = list(gc.callbacks), Environment(events=Events())
    WorkerPart(environment, Runner(), {}).listen()  # type: ignore[arg-type]
    yield environment
    gc.callbacks[:] = callbacks


def reported(environment: Environment) -> dict[str, Any]:
    """The plugin's part of a report, as it reaches the master."""
    data: dict[str, Any] = {}
    environment.events.report_to_master.fire(client_id="w1", data=data)
    part = Message.unserialize(Message("stats", data, "w1").serialize()).data["locust_kit"]
    assert isinstance(part, dict)
    return part


@pytest.mark.parametrize(
    "changed",
    [
        {"exception": Exception(HALF)},
        {"exception": HALF},
        {"exception": Unspeakable()},
        {"exception": Exception("x" * 10_000_000)},
        {"exception": OSError([], "an errno that cannot be looked up")},
        {"request_type": HALF, "name": HALF},
        {"name": None, "request_type": None},
        {"name": ("a", 1), "request_type": b"GET"},
        {"name": object()},
        {"name": "n" * 1_000_000},
        {"response": Raising()},
        {"response": Answer(10**30, {HALF: HALF}, b"\xff" * 5000)},
        {"response": Answer("200", Broken(), "no bytes")},
        {"response": Answer(None, None, None)},
        {"context": {HALF: HALF, "thing": object(), 1: {"a": b"\xff"}, "none": Unspeakable()}},
        {"context": Broken()},
        {"response_time": float("nan")},
        {"response_time": float("inf")},
        {"response_time": -5},
        {"response_time": "soon"},
        {"response_length": 10**30},
        {"response_length": "long"},
        {"response_length": float("nan")},
        {"url": "http://shop/?" + "aa: " * 495},
    ],
    ids=" ".join,
)
def test_whatever_a_request_brings_is_counted_and_can_be_sent(worker: Environment, changed: dict[str, Any]) -> None:
    usual = {
        "request_type": "GET",
        "name": "/cart",
        "response_time": 5.0,
        "response_length": 2,
        "response": None,
        "context": {},
        "exception": Exception("no"),
        "start_time": 0.0,
        "url": None,
    }
    worker.events.request.fire(**{**usual, **changed})
    found = reported(worker)["failures"]
    assert (len(found["rows"]), sum(row[5] for row in found["groups"])) == (1, 1)
    assert "NaN" not in json.dumps(found)
    assert len(json.dumps(found)) < 50_000


def test_an_exception_in_a_task_is_counted_whatever_it_is(worker: Environment) -> None:
    for error in (Exception(HALF), Unspeakable()):
        worker.events.user_error.fire(user_instance=Raising(), exception=error, tb=None)
    assert [row[5] for row in reported(worker)["failures"]["groups"]] == [1, 1]


def test_an_empty_exception_is_no_failure_as_in_locust(worker: Environment) -> None:
    worker.events.request.fire(
        request_type="GET", name="/", response_time=5.0, response_length=2, exception="", context={}
    )
    found = reported(worker)["failures"]
    assert (found["rows"], len(found["performance"])) == ([], 1)


def test_what_cannot_be_sent_is_sent_as_text_and_said_once(
    worker: Environment, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, name in ((Message, "serialize"), (Message, "unserialize"), (BaseSocket, "__init__")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # to be as it was when the test is over
    monkeypatch.setattr(BaseSocket, "recv_from_client", BaseSocket.recv_from_client)
    messages.install()
    odd = {"lines": [HALF], HALF: {"of": object(), "many": 10**30, "bytes": b"\xff", "number": 1.5}}
    monkeypatch.setattr("locust_kit.memory.Memory.document", lambda *_: odd)
    found = [reported(worker), reported(worker)]
    assert [report["memory"]["lines"] for report in found] == [["\\ud800 bad"]] * 2
    assert found[0]["memory"]["\\ud800 bad"]["number"] == 1.5
    assert "failures" in found[0]
    (said,) = [line.getMessage() for line in caplog.records]
    assert said.startswith("locust-kit: reading a message failed, the run goes on: ")


def test_a_meter_that_fails_takes_no_other_part_of_the_report_along(
    worker: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("locust_kit.meters.users.UserMeter.document", fails)
    found = reported(worker)
    assert "failures" in found
    assert {"pacing", "cleaned"} <= found["meters"].keys()
    assert "users" not in found["meters"]


def test_a_listener_that_fails_is_one_line_even_of_an_exception_without_a_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def listen() -> None:
        raise Unspeakable

    listener = guarded(listen)
    listener()
    listener()
    assert [line.getMessage() for line in caplog.records] == [
        "locust-kit: listen failed, the run goes on: Unspeakable: <Unspeakable without a text>"
    ]


def test_a_greenlet_goes_on_after_a_step_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[int] = []

    def step() -> None:
        steps.append(1)
        raise ValueError("once")

    keep_doing(step, 0.001)
    with gevent.Timeout(30):
        while len(steps) < 3:
            gevent.sleep(0.001)
    assert [(line.levelno, line.getMessage()) for line in caplog.records] == [
        (logging.WARNING, "locust-kit: step failed, the run goes on: ValueError: once")
    ]


def test_a_failure_counts_where_a_listener_ends_the_event_wherever_it_stands(worker: Environment) -> None:
    def ends(**_: Any) -> None:
        raise RescheduleTask

    worker.events.request._handlers.insert(0, ends)
    worker.events.request._handlers.insert(-50, ends)
    worker.events.user_error.add_listener(ends)
    asked = {"request_type": "GET", "name": "/", "response_time": 5.0, "response_length": 2, "context": {}}
    with pytest.raises(RescheduleTask):
        worker.events.request.fire(**asked, exception=Exception("no"))
    with pytest.raises(RescheduleTask):
        worker.events.user_error.fire(user_instance=None, exception=KeyError("x"), tb=None)
    assert sorted(row[2] for row in reported(worker)["failures"]["groups"]) == ["other", "task_error"]


def test_each_listener_of_a_runs_events_is_reached_whatever_another_raises(caplog: pytest.LogCaptureFixture) -> None:
    event, heard = EventHook(), list[str]()

    def ends(**_: Any) -> None:
        raise StopUser

    event.add_listener(ends)
    event.add_listener(lambda **passed: heard.append(passed["who"]))
    reach_all(event)
    event.fire(who="a")
    event.fire(who="b", reverse=True)
    assert heard == ["a", "b"]
    assert [line.getMessage() for line in caplog.records] == ["Uncaught exception in event handler"] * 2


def test_the_account_begins_anew_with_locusts_statistics_whoever_resets_them() -> None:
    environment, steps = Environment(events=Events()), list[int]()
    follow_resets(environment, lambda: steps.append(environment.stats.total.num_requests))
    environment.stats.log_request("GET", "/", 5, 2)
    environment.stats.reset_all()
    environment.stats.clear_all()  # Locust's own, before a run
    assert steps == [0]
    environment.runner = SimpleNamespace(state=STATE_RUNNING)  # type: ignore[assignment]
    environment.stats.clear_all()
    assert steps == [0, 0]
