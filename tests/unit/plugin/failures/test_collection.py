"""The master's sum of what workers report, what is bounded in it, and what reaches the disk."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from locust_kit.failures import collection, files, summary
from locust_kit.failures.classes import ADVICE, FailureClass
from locust_kit.failures.collection import Collection
from locust_kit.failures.records import GroupKey, Record, wire

KEY = ["GET", "/cart", "server_error", "503", "busy"]


def record(at: float = 1000.0, **changed: Any) -> Record:
    known: dict[str, Any] = {
        "user_class": "Shopper", "method": "GET", "name": "/cart", "url": "http://shop/cart", "status": 503,
        "response_ms": 12.34, "length": 4, "exception": "HTTPError", "message": "busy",
        "kind": FailureClass.SERVER_ERROR,
        "detail": "503",
    }  # fmt: skip
    return Record(at=at, **{**known, **changed})


def report(*groups: list[Any], rows: tuple[Record, ...] = (), examples: tuple[Record, ...] = ()) -> dict[str, Any]:
    return {
        "groups": list(groups),
        "rows": [wire(row) for row in rows],
        "examples": [[*KEY, wire(example)] for example in examples],
    }


def test_counts_of_all_workers_add_up_with_first_and_last() -> None:
    found = Collection()
    found.take("w1", report([*KEY, 3, 10.0, 20.0]))
    found.take("w2", report([*KEY, 2, 5.0, 15.0]))
    found.take("w1", report([*KEY, 1, 30.0, 30.0]))
    (group,) = found.groups.values()
    assert (group.count, group.first, group.last, group.workers) == (6, 5.0, 30.0, {"w1": 4, "w2": 2})


def test_errors_in_tasks_are_no_failed_requests() -> None:
    found = Collection()
    found.take("w", report([*KEY, 3, 1.0, 1.0], ["TASK", "U.t", "task_error", "KeyError", "x", 5, 1.0, 1.0]))
    assert (found.failures, found.task_errors) == (3, 5)
    assert found.by_kind() == {FailureClass.TASK_ERROR: 5, FailureClass.SERVER_ERROR: 3}


def test_the_first_and_the_latest_three_of_a_group_are_its_examples() -> None:
    found = Collection()
    found.take("w", report([*KEY, 6, 1.0, 6.0], examples=tuple(record(float(at)) for at in range(1, 7))))
    (document,) = summary.document("run", found, 10)["groups"]
    assert [example["at"][17:19] for example in document["examples"]] == ["01", "04", "05", "06"]


def test_the_latest_are_so_by_their_time_whichever_worker_reports_last() -> None:
    found = Collection()
    found.take("w1", report([*KEY, 4, 2.0, 9.0], examples=tuple(record(float(at)) for at in (2, 7, 8, 9))))
    found.take("w2", report([*KEY, 4, 1.0, 6.0], examples=tuple(record(float(at)) for at in (1, 4, 5, 6))))
    ((key, group),) = found.groups.items()
    document = group.document(key, 8)
    assert [(example["at"][17:19], example["worker"]) for example in document["examples"]] == [
        ("01", "w2"), ("07", "w1"), ("08", "w1"), ("09", "w1")
    ]  # fmt: skip


def test_of_groups_without_end_the_largest_are_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MOST_GROUPS", 30)
    monkeypatch.setattr(collection, "_KEPT", (5, 3, 2))
    found = Collection()
    for turn in range(20):
        rows = [["GET", f"/{turn}", *KEY[2:4], f"m{number}", 1, 1.0 + turn, 1.0 + turn] for number in range(10)]
        found.take(f"w{turn % 2}", report(["GET", "/slow", *KEY[2:4], "timed out", 1, 0.5, 9.0], *rows))
    assert found.failures == 220
    assert len(found.groups) <= 30
    slow = found.groups[GroupKey("GET", "/slow", FailureClass.SERVER_ERROR, "503", "timed out")]
    assert (slow.count, slow.workers) == (20, {"w0": 10, "w1": 10})
    everywhere = found.groups[GroupKey("GET", "(others)", FailureClass.SERVER_ERROR, "503", "(others)")]
    assert everywhere.count > 50
    assert everywhere.first == 1.0
    assert found.in_others == 220 - sum(group.count for key, group in found.groups.items() if key.message != "(others)")


def test_examples_are_bounded_over_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MOST_EXAMPLES", 20)
    found = Collection()
    for _ in range(4):
        for number in range(40):
            key = [*KEY[:4], f"m{number}"]
            found.take("w", {**report([*key, 1, 1.0, 1.0]), "examples": [[*key, wire(record())]]})
    kept = [len(group.examples) for group in found.groups.values()]
    assert kept == [1] * 20 + [0] * 20


def test_rows_that_wait_for_a_slow_disk_are_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MOST_WAITING", 3)
    found = Collection()
    found.take("w7", report(rows=tuple(record() for _ in range(5))))
    assert found.lost_rows == 2
    assert [record.worker for record in found.waiting()] == ["w7"] * 3
    assert found.waiting() == []


@pytest.mark.parametrize(
    "broken",
    [{}, {"groups": [["GET"]]}, {"groups": [[*KEY, "x", 1, 1]]}, {"groups": [["G", "n", "odd", "", "", 1, 1, 1]]}],
)
def test_an_invalid_report_is_an_error_for_the_guard(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Collection().take("w", {"examples": [], "rows": [], **broken} if broken else {})


def test_rows_reach_both_files_and_are_only_ever_added(tmp_path: Path) -> None:
    files.append(tmp_path, [record()])
    files.append(tmp_path, [record(represents=2.5, context={"cart": "7"})])
    lines = [json.loads(line) for line in (tmp_path / files.ROWS).read_text().splitlines()]
    assert [line.get("represents", 1) for line in lines] == [1, 2.5]
    assert lines[1]["context"] == {"cart": "7"}
    assert lines[0]["class"] == "server_error"
    with (tmp_path / files.TABLE).open() as file:
        table = list(csv.reader(file))
    assert tuple(table[0]) == files.COLUMNS
    assert table[0][:8] == [
        "timestamp", "request_type", "name", "response_time", "status_code", "exception", "response_length", "url",
    ]  # fmt: skip
    assert table[1][:8] == [
        "1970-01-01T00:16:40.000Z", "GET", "/cart", "12.3", "503", "HTTPError: busy", "4", "http://shop/cart",
    ]  # fmt: skip
    assert len(table) == 3


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert files.table_row(record(name=text))[2] == f"'{text}"


def test_the_end_of_a_run_on_the_console() -> None:
    found = Collection()
    found.take("w", report([*KEY, 30, 1.0, 1.0], ["GET", "/x", "dns", "EAI_NONAME", "gone", 10, 1.0, 1.0]))
    text = "\n".join(summary.lines(found, 200))
    assert text.startswith("Failure analysis: 40 failed requests (20.0 % of 200)\n")
    assert "server_error         503                             30   75.0 %" in text
    assert ADVICE[FailureClass.DNS] in text
    assert list(summary.lines(Collection(), 200)) == []


def test_there_is_advice_for_every_class() -> None:
    assert set(ADVICE) == set(FailureClass)
