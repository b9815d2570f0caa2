"""A process's counters and the master's account: what is reported, taken in, dropped, and written at the end."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import gevent
import locust.env
import pytest
from locust.event import Events
from locust.exception import CatchResponseError, RescheduleTask
from locust_kit.cost import EVERY
from locust_kit.failures.account import FailureAccount
from locust_kit.failures.capture import Capture
from locust_kit.failures.counters import RequestCounters
from locust_kit.performance import Performance
from locust_kit.texts import OTHERS
from locust_kit.writer import Writer


class Total:
    num_requests, num_failures = 10, 3


class Environment:
    class stats:  # noqa: N801  as Locust has it
        total = Total()


def ask(counters: RequestCounters, *, fails: bool = False, milliseconds: float = 10.0) -> None:
    exception = CatchResponseError("no stock") if fails else None
    counters.on_request("GET", "/cart", response_time=milliseconds, response_length=2, exception=exception)


def test_a_report_has_failures_and_times_once() -> None:
    counters = RequestCounters()
    ask(counters)
    ask(counters, fails=True)
    report = counters.report()
    assert (len(report["groups"]), len(report["rows"])) == (1, 1)
    assert report["performance"][0][:2] == ["GET", "/cart"]
    assert counters.report() == {"groups": [], "examples": [], "rows": [], "performance": []}


def test_no_secret_in_a_name_leaves_with_the_times_and_names_that_become_one_are_added_up() -> None:
    counters, account = RequestCounters(), FailureAccount(Environment())  # type: ignore[arg-type]
    for secret in ("hunter2", "hunter3"):
        counters.on_request("GET", f"/cart?password={secret}", response_time=9000.0, response_length=2)
    report = counters.report()
    account.take("w1", report)
    (endpoint,) = account.times()["endpoints"]
    assert (endpoint["name"], endpoint["good"]["count"]) == ("/cart?password=***", 2)
    assert "hunter" not in json.dumps([report, account.times(), *account.performance.lines()])


@pytest.mark.parametrize(
    ("broken", "left"),
    [(Performance, {"groups": 1, "rows": 2, "performance": 0}), (Capture, {"groups": 0, "rows": 0, "performance": 1})],
)
def test_a_part_that_breaks_is_one_warning_and_the_other_counts_on(
    broken: type, left: dict[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(broken, "on_request", fails)
    counters = RequestCounters()
    for _ in range(2):
        ask(counters, fails=True)
    report = counters.report()
    assert {name: len(report[name]) for name in left} == left
    (said,) = caplog.messages
    assert re.search("counting .* failed, the run goes on: ZeroDivisionError", said)


def test_a_failure_whose_text_cannot_be_made_is_counted_by_locust(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("locust_kit.locust_tables.WorkerErrors.text", fails)
    environment = locust.env.Environment(events=Events())
    environment.create_local_runner()
    counters = RequestCounters()
    counters.listen(environment)
    environment.events.request.fire(
        request_type="GET", name="/cart", response_time=9.0, response_length=0, exception=CatchResponseError("no")
    )
    assert (environment.stats.total.num_requests, environment.stats.total.num_failures) == (1, 1)
    assert [error.error for error in environment.stats.errors.values()] == [OTHERS]
    assert len(counters.report()["groups"]) == 1
    assert "counting failures failed, the run goes on: ZeroDivisionError" in caplog.text


def test_one_call_of_many_is_measured_and_reports_are_in_full() -> None:
    counters = RequestCounters()
    ticks = itertools.count(1.0, 0.5)
    counters.cost.clock = lambda: next(ticks)
    for number in range(10 * EVERY):
        ask(counters, fails=number % 2 == 0)
    counters.report()
    found = counters.cost.document()
    assert (counters.cost.measured, found["calls"], found["us_per_call"]) == (10, 10 * EVERY, 5e5)
    assert found["report_seconds"] == 0.5


def test_what_locust_drops_is_dropped() -> None:
    counters = RequestCounters()
    ask(counters, fails=True)
    counters.forget(environment=None)
    assert counters.report() == {"groups": [], "examples": [], "rows": [], "performance": []}


def refused(error: OSError) -> None:
    raise error


def test_the_end_of_a_run_is_on_disk_and_a_new_run_starts_at_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KIT_SLOW_MS", "100")
    account, counters = FailureAccount(Environment()), RequestCounters()  # type: ignore[arg-type]
    account.begin("run-1", Writer(tmp_path, refused))
    for _ in range(3):
        ask(counters, fails=True, milliseconds=200.0)
    account.take("w1", counters.report())
    account.end()
    account.save()
    assert account.writer
    account.writer.wait(30)
    groups = json.loads((tmp_path / "failure_groups.json").read_text())
    times = json.loads((tmp_path / "performance.json").read_text())
    assert (groups["run_id"], groups["failures"], groups["requests"]) == ("run-1", 3, 10)
    assert times["endpoints"][0]["failed"]["count"] == times["endpoints"][0]["slow"] == 3
    account.begin("run-2", Writer(tmp_path, refused))
    assert (account.status()["failures"], account.performance.endpoints) == (0, {})


def test_a_report_of_an_older_worker_without_times_is_taken() -> None:
    account = FailureAccount(Environment())  # type: ignore[arg-type]
    account.take("w1", {"groups": [], "examples": [], "rows": []})
    assert account.performance.endpoints == {}


def test_each_row_is_handed_to_the_pusher_once_and_with_its_run(tmp_path: Path) -> None:
    taken: list[tuple[str, int]] = []

    class Pusher:
        def take(self, run_id: str, records: list[Any]) -> None:
            taken.append((run_id, len(records)))

    account, counters = FailureAccount(Environment(), Pusher()), RequestCounters()  # type: ignore[arg-type]
    account.begin("run-1", Writer(tmp_path, refused))
    ask(counters, fails=True)
    account.take("w1", counters.report())
    account.take("w1", counters.report())
    assert taken == [("run-1", 1), ("run-1", 0)]
    account.end()
    assert account.writer
    account.writer.wait(30)
    assert len((tmp_path / "failures.ndjson").read_text().splitlines()) == 1


def test_a_listener_of_the_tests_own_that_ends_the_event_hides_nothing() -> None:
    environment = locust.env.Environment(events=Events())

    def give_up(**_: Any) -> None:
        raise RescheduleTask

    environment.events.request.add_listener(give_up)
    environment.events.user_error.add_listener(give_up)
    counters = RequestCounters()
    counters.listen(environment)
    with pytest.raises(RescheduleTask):
        environment.events.request.fire(
            request_type="GET", name="/cart", response_time=9.0, response_length=0, exception=CatchResponseError("no")
        )
    with pytest.raises(RescheduleTask):
        environment.events.user_error.fire(user_instance=None, exception=ValueError("no"), tb=None)
    report = counters.report()
    assert sorted(row[2] for row in report["groups"]) == ["assertion", "task_error"]
    assert len(report["performance"]) == 1


@pytest.mark.parametrize("in_slices", [True, False])
def test_users_go_on_while_a_report_is_made_in_slices(monkeypatch: pytest.MonkeyPatch, *, in_slices: bool) -> None:
    monkeypatch.setattr("locust_kit.cost.SLICE_SECONDS", 0.0)
    counters = RequestCounters()
    for number in range(20):
        counters.on_request("GET", f"/cart/{number}", 9.0, 2, CatchResponseError("no stock"))
    turns = []

    def user() -> None:
        for _ in range(10):
            turns.append(len(counters.report()["groups"]))
            gevent.sleep(0)

    others = gevent.spawn(user)
    report = counters.report(in_slices=in_slices)
    assert (len(report["groups"]), len(report["performance"])) == (20, 20)
    assert turns == ([0] * 10 if in_slices else [])
    others.join()
