"""What is written down of a run: its plan, its seconds, its figures, its end; over Locust's own statistics."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from locust import LoadTestShape, User
from locust.env import Environment
from locust.runners import MasterRunner
from locust_kit import plan, run_folder
from locust_kit.failures.account import FailureAccount
from locust_kit.locust_tables import LocustTables
from locust_kit.master import MasterPart
from locust_kit.meters import MeterReadings
from locust_kit.meters.stopping import AfterTheEnd, Stopping
from locust_kit.run_recorder import RunRecorder


class Master(MasterRunner):
    """A master that opened no port, with these workers."""

    user_count = 0
    worker_count = 2
    target_user_count = 40
    reported_user_classes_count: dict[str, int] = {}  # noqa: RUF012

    def __init__(self, *workers: Any) -> None:
        self.clients = {worker.id: worker for worker in workers}  # type: ignore[assignment]
        self.spawn_rate = 5.0
        self.state = "ready"
        self.shape_greenlet = None

    def __del__(self) -> None:
        """Nothing to close."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    monkeypatch.setattr(run_folder, "RUNS", tmp_path)
    made = Environment(user_classes=[type("Shopper", (User,), {})], host="http://shop")
    made.parsed_options = SimpleNamespace(run_time=90, tags=["smoke"], exclude_tags=None, kit_judge="", autostart=False)
    made.runner = Master(
        SimpleNamespace(id="w-1", state="running", cpu_usage=95.5),
        SimpleNamespace(id="w-2", state="missing", cpu_usage=99.9),
    )
    return made


def recorded(environment: Environment) -> tuple[RunRecorder, run_folder.RunIdentity]:
    record = RunRecorder(environment, FailureAccount(environment), MeterReadings(), LocustTables(environment))
    run = run_folder.begin(datetime.now(UTC))
    record.begin(run, {"host": environment.host, "judge": {"thresholds": "p95<800"}})
    return record, run


def read(run: run_folder.RunIdentity, name: str) -> Any:
    return json.loads((run_folder.RUNS / run.run_id / name).read_text())


def state(runner: Any, word: str) -> None:
    runner.state = word


def test_no_secret_of_a_request_after_the_end_is_in_the_end_of_a_run(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locust_kit.run_recorder.secrets_of", lambda _: frozenset({"hunter2-of-a-run"}))
    after = AfterTheEnd()
    after.is_on = True
    after.stats.log_request("POST", "/logout?token=abcdefgh12345678", 5, 1)
    after.stats.log_error("POST", "/logout/hunter2-of-a-run", "no hunter2-of-a-run")
    monkeypatch.setattr("locust_kit.meters.stopping.AFTER_THE_END", after)
    record, run = recorded(environment)
    record._readings.begin(run.run_id)
    record._readings.take("w-1", {"run_id": run.run_id, "stopping": Stopping().document()})
    record.end(run_folder.ended(run, datetime.now(UTC)), {})
    record.wait()
    stopping = read(run, "end.json")["meters"]["stopping"]
    assert {row["name"] for row in stopping["endpoints"]} == {"/logout?token=***", "/logout/***"}
    assert [(row["name"], row["error"]) for row in stopping["errors"]] == [("/logout/***", "no ***")]


def test_the_plan_is_on_the_disk_before_the_first_second(environment: Environment) -> None:
    _, run = recorded(environment)
    begun = read(run, "run.json")
    assert begun["plan"]["users"] == 40
    assert begun["plan"]["spawn_rate_per_second"] == 5.0
    assert begun["plan"]["run_time_seconds"] == 90
    assert begun["plan"]["tags"] == ["smoke"]
    assert begun["judge"] == {"thresholds": "p95<800"}
    assert begun["versions"]["locust"]


def test_each_second_of_a_run_is_a_line_and_the_time_between_runs_has_no_line(environment: Environment) -> None:
    record, run = recorded(environment)
    record._tick()
    state(environment.runner, "running")
    environment.stats.log_request("GET", "/cart", 12, 5)
    environment.stats.log_error("GET", "/cart", ValueError("no"))
    record._tick()
    record.wait()
    rows = [json.loads(line) for line in (run_folder.RUNS / run.run_id / "timeline.ndjson").read_text().splitlines()]
    assert len(rows) == 1
    kept = {name: rows[0][name] for name in ("state", "target_users", "requests", "failures", "workers", "missing")}
    assert kept == {
        "state": "running", "target_users": 40, "requests": 1, "failures": 1, "workers": 1, "missing": ["w-2"],
    }  # fmt: skip
    assert (rows[0]["cpu_percent"], rows[0]["over_cpu"]) == (95.5, 1)


def test_figures_are_on_the_disk_while_the_run_goes_on_and_its_end_comes_last(environment: Environment) -> None:
    record, run = recorded(environment)
    state(environment.runner, "running")
    environment.stats.log_request("GET", "/cart?token=abcdefgh12345678", 12, 5)
    for _ in range(10):
        record._tick()
    record.wait()
    assert read(run, "statistics.json")["figures"]["requests"] == 1
    assert "abcdefgh12345678" not in json.dumps(read(run, "statistics.json"))
    assert not (run_folder.RUNS / run.run_id / "end.json").exists()
    here: Any = environment.runner
    here.user_count, here.reported_user_classes_count = 38, {"Shopper": 38}
    record._spawned(user_count=40)  # as many as were asked for, which is no count
    here.user_count, here.reported_user_classes_count = 2, {"Shopper": 2}
    record.end(run_folder.ended(run, datetime.now(UTC)), {"retries": 3})
    record.wait()
    end = read(run, "end.json")
    assert (end["requests"], end["most_users"], end["retries"], end["shape_cut"]) == (1, 38, 3, False)
    assert end["users_by_class"] == {"Shopper": 38}
    names = sorted(run_folder.RUNS.joinpath(run.run_id).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert names[-1].name == "end.json"


def test_a_run_that_is_stopped_at_once_was_still_meant_to_last(environment: Environment) -> None:
    environment.web_ui = SimpleNamespace(_run_time_greenlet=object())  # type: ignore[assignment]
    record, run = recorded(environment)
    environment.web_ui = SimpleNamespace(_run_time_greenlet=None)  # type: ignore[assignment]
    record.stopping(None)
    for _ in range(5):
        record._tick()
    record.wait()
    assert read(run, "run.json")["plan"]["run_time_seconds"] == 90


def test_a_shape_that_ends_by_itself_is_not_cut_and_one_that_is_stopped_is(environment: Environment) -> None:
    environment.shape_class = type("Short", (LoadTestShape,), {"tick": lambda _: None})()
    record, _ = recorded(environment)
    runner: Any = environment.runner
    runner.shape_greenlet = gevent.getcurrent()
    record.stopping(None)
    assert record._shape_cut is False
    runner.shape_greenlet = object()
    record.stopping(None)
    assert record._shape_cut is True
    runner.shape_greenlet = None
    environment.shape_class = None
    record.stopping(None)
    assert record._shape_cut is False


def test_a_master_that_ends_within_a_run_says_so_and_one_that_ends_after_it_does_not(environment: Environment) -> None:
    for quits_within in (True, False):
        record, run = recorded(environment)
        record.listen()
        if quits_within:
            environment.events.quitting.fire(environment=environment)
        record.end(run_folder.ended(run, datetime.now(UTC)), {})
        record.wait()
        assert read(run, "end.json")["quit"] is quits_within
        environment.events.quitting.fire(environment=environment)


def test_the_time_of_an_earlier_run_is_not_taken_for_this_ones(environment: Environment) -> None:
    environment.web_ui = SimpleNamespace(_run_time_greenlet=None)  # type: ignore[assignment]
    assert plan.document(environment)["plan"]["run_time_seconds"] is None
    environment.web_ui = SimpleNamespace(_run_time_greenlet=object())  # type: ignore[assignment]
    assert plan.document(environment)["plan"]["run_time_seconds"] == 90
    environment.web_ui = SimpleNamespace()  # type: ignore[assignment]
    assert plan.document(environment)["plan"]["run_time_seconds"] == 90


def test_a_disk_that_is_full_is_one_warning_and_the_run_goes_on(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(run_folder, "RUNS", tmp_path / "file")
    record, run = recorded(environment)
    state(environment.runner, "running")
    for _ in range(20):
        record._tick()
    record.end(run_folder.ended(run, datetime.now(UTC)), {})
    record.wait()
    assert sum("the run is counted, but" in message for message in caplog.messages) == 1


def test_by_what_to_judge_comes_with_the_order_to_start_else_from_the_environment() -> None:
    options = SimpleNamespace()
    judging = plan.RunCriteria(options, {"KIT_THRESHOLDS": "p95<1s", "KIT_FAIL_RATIO": "1%", "KIT_ON_INVALID": ""})
    assert judging.of_this_run() == {"thresholds": "p95<1s", "fail_ratio": "1%"}
    options.kit_judge = '{"thresholds": "", "fail_ratio_limit": 0.5}'
    assert judging.of_this_run() == {"thresholds": "", "fail_ratio": "1%", "fail_ratio_limit": 0.5}
    assert judging.of_this_run() == {"thresholds": "p95<1s", "fail_ratio": "1%"}
    for odd in ("[1]", "{", "5"):
        options.kit_judge = odd
        assert judging.of_this_run()["fail_ratio"] == "1%"


def test_a_field_of_the_form_is_taken_once() -> None:
    options = SimpleNamespace()
    field = plan.FormField(options, "kit_x")
    assert options.kit_x == ""  # or Locust would not keep it
    options.kit_x = "a"
    assert (field.take(), field.take()) == ("a", "")
    assert plan.FormField(None, "kit_x").take() == ""


def master_of(environment: Environment) -> Any:
    """The plugin's part on a master, without its listeners."""
    made: Any = MasterPart.__new__(MasterPart)
    made._environment = environment
    return made


def test_the_last_reports_of_a_run_close_no_later_run(environment: Environment) -> None:
    made, closed = master_of(environment), []
    made._close = lambda: closed.append(made._run.run_id)
    made._run, made._return_by = run_folder.begin(datetime.now(UTC)), 0.0
    environment.stop_timeout = 3
    runner: Any = environment.runner
    runner.clients = {"w-1": SimpleNamespace(state="running")}
    first = gevent.spawn(made._close_when_reported, runner, made._run.run_id)
    gevent.sleep(0)
    made._run = run_folder.begin(datetime.now(UTC))
    first.join(30)  # though a worker is at work: with the users of the next run
    assert first.successful()
    assert (closed, made._return_by) == ([], 0.0)
    runner.clients["w-1"].state = "ready"
    made._close_when_reported(runner, made._run.run_id)
    assert closed == [made._run.run_id]
    assert made._return_by > 0


def test_locusts_timer_ends_a_ramp_that_is_under_way(environment: Environment) -> None:
    ramp = gevent.spawn(gevent.sleep, 60)
    gevent.sleep(0)
    environment.web_ui = SimpleNamespace(_swarm_greenlet=ramp)  # type: ignore[assignment]
    master_of(environment)._end_ramp()
    ramp.join(30)
    assert ramp.dead
    environment.web_ui = SimpleNamespace(_swarm_greenlet=gevent.getcurrent())  # type: ignore[assignment]
    master_of(environment)._end_ramp()  # a ramp that stops the run itself is not cut off in it
    environment.web_ui = None
    master_of(environment)._end_ramp()


@pytest.mark.parametrize(
    ("state", "workers", "is_over"),
    [
        ("stopping", ("ready", "missing"), True),
        ("stopping", ("running", "missing"), False),
        ("stopping", ("ready", "ready"), False),  # Locust ends that itself, at once
        ("running", ("ready", "missing"), False),
    ],
)
def test_a_run_with_a_missing_worker_is_over_once_the_others_are_ready(
    environment: Environment, state: str, workers: tuple[str, ...], *, is_over: bool
) -> None:
    runner: Any = environment.runner
    runner.state = state
    runner.clients = {str(number): SimpleNamespace(state=status) for number, status in enumerate(workers)}
    ended = []
    made = master_of(environment)
    made._test_stop = lambda: ended.append(True)
    made._end_if_over()
    assert bool(ended) is is_over
