"""A worker's reports reach the master in the order of their numbers, whoever asks for one while another is made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from locust.env import Environment
from locust.event import Events
from locust_kit import cost
from locust_kit.worker import WorkerPart
from locust_kit.worker_report import FAILURES_KEY, NUMBER_KEY, REPORT_KEY

FAILURES = 300


class Runner:
    """What Locust's does with a report, without a connection."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.sent: list[dict[str, Any]] = []

    def _send_stats(self) -> None:
        data: dict[str, Any] = {}
        self.environment.events.report_to_master.fire(client_id="w-1", data=data)
        self.sent.append(data[REPORT_KEY])


@pytest.fixture
def runner() -> Iterator[Runner]:
    callbacks = list(gc.callbacks)
    made = Runner(Environment(events=Events()))
    WorkerPart(made.environment, made, {}).listen()  # type: ignore[arg-type]
    yield made
    gc.callbacks[:] = callbacks


def fail(environment: Environment, turn: str) -> None:
    for number in range(FAILURES):
        environment.events.request.fire(
            request_type="GET", name=f"/{number}", response_time=5.0, response_length=2, exception=OSError(turn)
        )


def test_no_report_overtakes_another_and_none_is_lost(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SLICE_SECONDS", 0)
    fail(runner.environment, "first")
    reporting = gevent.spawn(runner._send_stats)
    gevent.sleep(0)
    assert not runner.sent  # it is being made, in slices
    fail(runner.environment, "meanwhile")
    others = [
        gevent.spawn(runner._send_stats),
        gevent.spawn(runner.environment.events.test_stop.fire, environment=runner.environment),
    ]
    gevent.joinall([reporting, *others], timeout=60, raise_error=True)
    assert [report[NUMBER_KEY] for report in runner.sent] == [1, 2, 3]
    counted = [sum(row[5] for row in report[FAILURES_KEY]["groups"]) for report in runner.sent]
    assert counted == [FAILURES, FAILURES, 0]
