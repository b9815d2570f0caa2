"""What several workers measured, as one document: sums, a line of each worker, and nothing that a worker made up."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from locust_kit.meters import METERS, Meters
from locust_kit.meters.pacing import PacingMeter
from locust_kit.meters.users import UserMeter

LOGIN = {
    "name": "Customer.login",
    "kind": "task",
    "type": "IndexError",
    "text": "pop",
    "line": "shop.py:9",
    "example": "pop 5",
}
START = {"name": "Customer.on_start", "kind": "on_start", "type": "KeyError", "text": "'t'", "line": "shop.py:4"}


def worker(runs: int, errors: int, requests: int, *raised: dict[str, Any], **counts: int) -> dict[str, Any]:
    return {
        "asked": 5,
        "requests": requests,
        "classes": {"Customer": {"made": 5, "running": 5, **counts}},
        "tasks": {"Customer.login": {"runs": runs, "errors": errors}},
        "errors": list(raised),
        "problem": "",
    }


def test_users_and_tasks_are_summed_and_each_worker_has_a_line() -> None:
    late = worker(40, 40, 0, {**LOGIN, "count": 40})
    early = worker(50, 0, 50, {**START, "count": 2}, died=2, finished_now=1)
    merged = UserMeter.merged({"w-1": early, "w-2": late, "w-3": late})
    assert (merged["task_runs"], merged["task_errors"], merged["requests"]) == (130, 82, 50)  # those of on_start, too
    assert merged["classes"]["Customer"]["made"] == 15
    assert merged["tasks"] == {"Customer.login": {"runs": 130, "errors": 80}}
    assert merged["errors"][0] == {**LOGIN, "count": 80, "workers": 2}
    assert (merged["workers"], list(merged["by_worker"])) == (3, ["w-2", "w-3", "w-1"])
    assert merged["by_worker"]["w-2"]["error"] == "IndexError in Customer.login"
    moment = UserMeter.moment(merged)
    assert (moment["running"], moment["finished_now"], moment["died"], moment["task_errors"]) == (15, 1, 2, 82)


def test_of_many_workers_those_without_requests_are_named_first() -> None:
    documents = {f"w-{number:03}": worker(1, 0, number) for number in range(80)}
    merged = UserMeter.merged(documents)
    assert (merged["workers"], len(merged["by_worker"]), next(iter(merged["by_worker"]))) == (80, 50, "w-000")


def test_planned_and_begun_runs_are_summed_by_class() -> None:
    part = {"pacing_seconds": 0.5, "planned": 10.5, "begun": 4, "measured": 4, "run_seconds": 9.0}
    merged = PacingMeter.merged({"w-1": {"schedules": {"Shop": part}}, "w-2": {"schedules": {"Shop": part}}})
    doubled = {name: 2 * value for name, value in part.items()} | {"pacing_seconds": 0.5}
    assert merged["schedules"] == {"Shop": doubled}
    assert PacingMeter.moment(merged) == {"Shop": [21.0, 8]}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"classes": [1], "tasks": "x", "errors": [3, None], "schedules": 7},
        {"classes": {"C": {"made": -3, "died": "x", "finished": True}}, "schedules": {"C": {"planned": float("nan")}}},
        {"errors": 7, "classes": {7: 8}, "tasks": {None: 1}, "schedules": {"C": {"odd": "x", "planned": "5"}}},
        {"tasks": {"C.t": None}, "asked": 1e300, "requests": None, "schedules": {"C": {"begun": float("inf")}}},
    ],
)
def test_what_a_worker_makes_up_changes_no_figure_of_another(odd: dict[str, Any]) -> None:
    good = worker(50, 1, 50, {**LOGIN, "count": 1}) | {"schedules": {"C": {"planned": 5, "begun": 5}}}
    for meter in METERS:
        alone, together = meter.merged({"w-1": good}), meter.merged({"w-1": good, "w-2": odd})
        assert meter.moment(alone) == meter.moment(together)
        json.dumps(together, allow_nan=False)


def test_what_is_reported_before_a_run_begins_is_of_the_run_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener to test_start of the test's own may wait, and Locust's options are those of the new run already."""
    monkeypatch.setattr("locust_kit.meters.METERS", ())  # they change Locust's classes
    options = SimpleNamespace(kit_run_id="run-1")
    meters = Meters()
    meters.listen(SimpleNamespace(parsed_options=options))  # type: ignore[arg-type]
    meters.begin()
    options.kit_run_id = "run-2"
    assert meters.document()["run_id"] == "run-1"
    meters.begin()
    assert meters.document()["run_id"] == "run-2"


def test_a_meter_that_cannot_begin_leaves_no_other_in_the_run_before(caplog: pytest.LogCaptureFixture) -> None:
    meters, begun = Meters(), list[str]()

    def fails() -> None:
        raise RuntimeError("no thread")

    meters._meters = [SimpleNamespace(name="one", begin=fails), SimpleNamespace(begin=lambda: begun.append("two"))]  # type: ignore[list-item]
    meters.begin()
    assert begun == ["two"]
    assert caplog.messages == ["locust-kit: the meter one failed, the run goes on: RuntimeError: no thread"]
