"""Locust's own tables stay small, whatever the names and texts of a test: their sums stay exact."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from locust.env import Environment
from locust.event import Events
from locust.stats import RequestStats, setup_distributed_stats_event_listeners
from locust_kit import locust_tables, run_statistics
from locust_kit.locust_tables import LocustTables, WorkerErrors
from locust_kit.meters.stopping import AfterTheEnd, Stopping


class Master:
    """A master's statistics, which take in what workers report."""

    def __init__(self) -> None:
        self.environment = Environment(events=Events())
        self.stats = self.environment.stats
        self.tables = LocustTables(self.environment)
        setup_distributed_stats_event_listeners(self.environment.events, self.stats)

    def take(self, worker: RequestStats) -> None:
        events = Events()
        setup_distributed_stats_event_listeners(events, worker)
        report: dict[str, Any] = {}
        events.report_to_master.fire(client_id="w", data=report)
        self.tables.fit(report)
        self.environment.events.worker_report.fire(client_id="w", data=report)
        self.tables.shrink()


def words(draw: random.Random) -> str:
    return " ".join("".join(draw.choices("abcdefgh", k=6)) for _ in range(12))


def test_errors_that_all_differ_leave_few_rows_on_the_master_and_all_are_counted() -> None:
    draw, master = random.Random(1), Master()  # noqa: S311  no secret
    for _ in range(5):
        for _worker in range(2):
            worker = RequestStats()
            for number in range(1500):
                name = f"/orders/{draw.randrange(300)}"
                worker.log_request("GET", name, 5, 1)
                worker.log_error("GET", name, f"CatchResponseError('{words(draw)} {number}')")
            master.take(worker)
    assert len(master.stats.errors) <= 5 * locust_tables.MOST_ERRORS
    assert sum(error.occurrences for error in master.stats.errors.values()) == 15_000
    assert master.stats.total.num_failures == 15_000
    assert all(error.first_seen and error.last_seen for error in master.stats.errors.values())


def test_few_errors_keep_their_texts_and_above_that_those_of_one_group_share_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locust_tables, "MOST_ERRORS", 3)
    master, worker = Master(), RequestStats()
    for number in range(10):
        worker.log_error("GET", "/cart", f"no stock for order {number}")
    master.take(worker)
    assert {error.error: error.occurrences for error in master.stats.errors.values()} == {
        "no stock for order 0": 1,
        "no stock for order 1": 1,
        "no stock for order 2": 1,
        "no stock for order <n>": 7,
    }


def test_errors_after_the_end_are_taken_out_of_whichever_row_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_tables, "MOST_ERRORS", 1)
    master = Master()
    load = [("GET", "/a", "boom"), ("GET", "/a", "gone for 7")]
    after = [("GET", "/a", "gone for 8"), ("POST", "/b", "no"), ("POST", "/c", "no"), ("PUT", "/d", "no")]
    for errors in (load, after):
        worker = RequestStats()
        for error in errors:
            worker.log_error(*error)
        master.take(worker)
    assert len(master.stats.errors) == 5
    rows = [{**dict(zip(("method", "name", "error"), error, strict=True)), "occurrences": 1} for error in after]
    made = run_statistics.document("run", master.stats, 1.0, {"errors": rows})
    assert [(row["error"], row["occurrences"]) for row in made["errors"]] == [("boom", 1), ("gone for <n>", 1)]


def test_requests_after_the_end_are_taken_out_of_the_row_of_many_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_tables, "MOST_NAMES", 1)
    monkeypatch.setattr(locust_tables, "_MOST_METHODS", 1)
    master, meter, after = Master(), Stopping(), AfterTheEnd()
    monkeypatch.setattr("locust_kit.meters.stopping.AFTER_THE_END", after)
    after.is_on = True
    for method, name in (("GET", "/a"), ("GET", "/b"), ("POST", "/logout")):
        worker = RequestStats()
        worker.log_request(method, name, 5, 1)
        master.take(worker)
    after.stats.log_request("POST", "/logout", 5, 1)
    assert ("(others)", "(others)") in master.stats.entries
    made = run_statistics.document("run", master.stats, 1.0, Stopping.merged({"w": meter.document()}))
    assert sum(row["requests"] for row in made["endpoints"]) == made["figures"]["requests"] == 2


def test_a_worker_reports_few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_tables, "MOST_ERRORS", 2)
    errors = WorkerErrors()
    texts = ("a1", "a2", "a3", "b4", "c5", "a6", "a1")
    said = [errors.text("GET", "/", text, partial(str.__getitem__, text, 0)) for text in texts]
    assert said == ["a1", "a2", "a", "b", "(others)", "a", "a1"]


def test_of_names_without_end_the_most_frequent_keep_their_rows_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locust_tables, "MOST_NAMES", 40)
    monkeypatch.setattr(locust_tables, "KEPT_NAMES", 20)
    master = Master()
    for turn in range(10):
        worker = RequestStats()
        for _ in range(5):
            worker.log_request("GET", "/cart", 100, 1)
        for number in range(30):
            worker.log_request("GET", f"/orders/{turn}-{number}", 20, 1)
            worker.log_error("GET", f"/orders/{turn}-{number}", "no")
        worker.log_request("GET", "/orders/0-29", 20, 1)
        master.take(worker)
    stats = master.stats
    assert len(stats.entries) <= 41
    assert stats.total.response_times_cache
    assert sum(entry.num_requests for entry in stats.entries.values()) == stats.total.num_requests == 360
    assert sum(entry.num_failures for entry in stats.entries.values()) == 300
    assert stats.entries["/cart", "GET"].num_requests == 50
    left_out = master.tables.names_left_out()
    assert left_out == {"GET": 301 - (len(stats.entries) - 1)}
    made = run_statistics.document("run", stats, 10.0, {}, left_out_before=left_out)
    assert made["endpoints_left_out"] == left_out["GET"]
    assert [row["name"] for row in made["endpoints"]].count("(others)") == 1
    assert sum(row["requests"] for row in made["endpoints"]) == 360


def test_a_name_that_was_left_out_gets_no_row_of_a_part_of_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_tables, "MOST_NAMES", 4)
    monkeypatch.setattr(locust_tables, "KEPT_NAMES", 2)
    master = Master()
    for names in ("aabbcde", "e", "e"):
        worker = RequestStats()
        for name in names:
            worker.log_request("GET", name, 5, 1)
        master.take(worker)
    assert {name: entry.num_requests for (name, _), entry in master.stats.entries.items()} == {
        "a": 2,
        "b": 2,
        "(others)": 5,
    }
    master.stats.reset_all()
    assert master.tables.names_left_out() == {}


def test_of_many_names_only_the_sum_keeps_copies_of_its_times() -> None:
    master, worker = Master(), RequestStats()
    for number in range(200):
        worker.log_request("GET", f"/{number}", 5, 1)
    master.take(worker)
    assert not any(entry.response_times_cache for entry in master.stats.entries.values())
    assert master.stats.total.response_times_cache
