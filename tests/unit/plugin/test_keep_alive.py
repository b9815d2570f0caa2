"""Locust's own loops go on after an exception that would have ended them for good."""

from __future__ import annotations

import gevent
import pytest
from gevent.pool import Group
from locust.env import Environment
from locust.event import Events
from locust_kit import guard
from locust_kit import keep_alive as module
from locust_kit.keep_alive import keep_alive


class Runner:
    """As much of a runner as has loops."""

    def __init__(self) -> None:
        self.greenlet = Group()
        self.begun = {"client_listener": 0, "heartbeat_worker": 0}
        self.greenlet.spawn(self.client_listener)
        self.greenlet.spawn(self.heartbeat_worker)

    def client_listener(self) -> None:
        self.begun["client_listener"] += 1
        gevent.sleep(0)
        if self.begun["client_listener"] < 3:
            raise UnicodeError("half")
        gevent.sleep(60)

    def heartbeat_worker(self) -> None:
        self.begun["heartbeat_worker"] += 1
        gevent.sleep(60)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "keep_doing", lambda step, _: guard.keep_doing(step, 0.001))


@pytest.mark.usefixtures("quick")
def test_a_loop_that_an_exception_ended_is_started_again_and_one_that_was_killed_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = Runner()
    gevent.sleep(0)
    keep_alive(Environment(events=Events()), runner, "client_listener", "heartbeat_worker", "no_such_loop")  # type: ignore[arg-type]
    with gevent.Timeout(30):
        while runner.begun["client_listener"] < 3:
            gevent.sleep(0.001)
    runner.greenlet.kill()
    gevent.sleep(0.05)
    assert runner.begun == {"client_listener": 3, "heartbeat_worker": 1}
    assert not len(runner.greenlet)
    lines = [record.getMessage() for record in caplog.records if record.name == "locust_kit"]
    assert ["no_such_loop" in line for line in lines] == [True, False, False]
    assert all("client_listener ended with UnicodeError" in line for line in lines[1:])
