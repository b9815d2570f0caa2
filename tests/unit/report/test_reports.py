"""Runs read from folders as the plugin leaves them, whole or cut off, and the reports that are kept of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from sidecar.common.errors import LedgerError
from sidecar.common.times import format_time
from sidecar.ledger.ledger_reader import EVERYTHING, LedgerArchive
from sidecar.model.history import IncidentQuery, RecordedSeries
from sidecar.model.incident import FINAL, PROVISIONAL, Incident, IncidentKind
from sidecar.monitor.board import Board
from sidecar.report.runs import record as disk
from sidecar.report.runs.record import NoSuchRunError, UnreadableRunError
from sidecar.report.runs.reports import ANEW, FILE, Ask, Judge, Reports
from sidecar.serve.app import make_app
from tests.fakes.asking import ask
from tests.fakes.run_scene import START, after, container, incident

RUN, OTHER = "20261127T010203Z-ab12", "20261127T020304Z-cd34"
LATER = after(600)


class Past(LedgerArchive):
    """A ledger with these incidents and figures."""

    def __init__(self, *incidents: Incident, series: Sequence[RecordedSeries] = (), fails: bool = False) -> None:
        self.known, self.figures, self.fails = incidents, series or (container(1), container(2)), fails
        self.asked = 0
        self.recorded: datetime | None = None

    def incidents(self, query: IncidentQuery = EVERYTHING) -> Sequence[Incident]:
        assert query.since is not None
        assert query.until is not None
        assert (query.project, query.limit > 0, query.until > query.since) == (None, True, True)
        assert not query.newest_first
        self.asked += 1
        if self.fails:
            raise LedgerError("the ledger is locked")
        return self.known

    def recorded_until(self) -> datetime | None:
        return self.recorded

    def series(
        self, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> Sequence[RecordedSeries]:
        assert (project, points > 0, until > since) == ("locust", True, True)
        return self.figures


class Clock:
    def __init__(self, now: datetime = LATER) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def line(second: float, **more: Any) -> str:
    usual = {"at": format_time(after(second)), "state": "running", "users": 5, "target_users": 5, "workers": 2}
    return json.dumps({**usual, "requests": int(second), "failures": 0, "rps": 1.0, **more})


def written(runs: Path, run_id: str = RUN, *, seconds: int = 60, ends: bool = True, tail: str = "") -> Path:
    """A run as the plugin leaves it; its files are as old as it."""
    path = runs / run_id
    path.mkdir()
    begin = {
        "run_id": run_id, "started_at": format_time(START), "host": "http://shop", "workers_at_start": 2,
        "plan": {"users": 5, "spawn_rate_per_second": 5.0, "run_time_seconds": seconds}, "judge": {"fail_ratio": "1%"},
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(begin))
    (path / "timeline.ndjson").write_text("".join(line(second) + "\n" for second in range(seconds)) + tail)
    figures = {"requests": seconds, "failures": 0, "fail_ratio": 0.0, "requests_per_second": 1.0}
    (path / "statistics.json").write_text(json.dumps({"figures": figures, "endpoints": [], "errors": []}))
    if ends:
        end = {"ended_at": format_time(after(seconds)), "requests": seconds, "failures": 0, "most_users": 5}
        (path / "end.json").write_text(json.dumps(end))
    for one in path.iterdir():
        os.utime(one, (after(seconds).timestamp(),) * 2)
    return path


def reports(runs: Path, *incidents: Incident, past: Past | None = None, clock: Clock | None = None) -> Reports:
    return Reports(runs, past or Past(*incidents), "locust", clock or Clock(), "0.1.0")


def test_a_whole_run_passes_and_its_report_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path)
    past = Past()
    found = reports(tmp_path, past=past).of(RUN)
    assert (found["verdict"], found["state"], found["figures"]["requests"]) == ("PASS", "ended", 60)
    assert json.loads((path / FILE).read_text()) == found
    assert reports(tmp_path, past=past).of(RUN) == found
    assert past.asked == 1
    reports(tmp_path, past=past).of(RUN, ANEW)
    assert past.asked == 2


def test_a_run_that_was_cut_off_is_invalid_with_all_that_was_written(tmp_path: Path) -> None:
    written(tmp_path, seconds=40, ends=False, tail='{"at": "2026-11-27T01:0')
    found = reports(tmp_path, incident(IncidentKind.OOM_KILL, 39.5, service="locust-master")).of(RUN)
    assert (found["verdict"], found["state"], found["duration_seconds"]) == ("INVALID", "broke off", 39.0)
    assert found["judged"]["reasons"][0]["kind"] == "broke_off"
    assert found["figures"]["requests"] == 40


@pytest.mark.parametrize("name", ["timeline.ndjson", "statistics.json", "end.json"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[1]", b'{"at": 5}\n{"x"', b"{"])
def test_no_file_of_a_run_can_keep_it_from_being_told(tmp_path: Path, name: str, content: bytes) -> None:
    path = written(tmp_path)
    (path / name).write_bytes(content)
    found = reports(tmp_path).of(RUN)
    assert found["run_id"] == RUN
    assert found["verdict"] in {"PASS", "INVALID"}


def test_a_going_run_is_told_and_not_kept(tmp_path: Path) -> None:
    path = written(tmp_path, seconds=30, ends=False)
    found = reports(tmp_path, clock=Clock(after(32))).of(RUN)
    assert (found["state"], found["verdict"], found["settled"]) == ("going", "PASS", False)
    assert not (path / FILE).exists()


def test_a_report_is_not_kept_while_an_incident_may_still_change(tmp_path: Path) -> None:
    path = written(tmp_path)
    early = incident(IncidentKind.OOM_KILL, 59, state=PROVISIONAL, until=after(59))
    assert not reports(tmp_path, early).of(RUN)["settled"]
    assert not (path / FILE).exists()
    assert reports(tmp_path, incident(IncidentKind.OOM_KILL, 59, state=FINAL, until=after(59))).of(RUN)["settled"]
    assert (path / FILE).exists()


def test_a_kept_report_is_old_once_the_run_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path, seconds=30, ends=False)
    made = reports(tmp_path)
    assert made.of(RUN)["state"] == "broke off"
    with (path / "timeline.ndjson").open("a") as file:
        file.write(line(599) + "\n")
    now = datetime.now(UTC).timestamp() + 5
    os.utime(path / "timeline.ndjson", (now, now))
    assert made.of(RUN)["state"] == "going"


def test_a_ledger_that_cannot_be_read_is_a_reason_and_asked_again(tmp_path: Path) -> None:
    path = written(tmp_path)
    found = reports(tmp_path, past=Past(fails=True)).of(RUN)
    assert found["judged"]["reasons"][0]["text"] == (
        "it is unknown what happened to the containers: the ledger is locked"
    )
    assert not (path / FILE).exists()


def test_a_run_whose_incidents_are_not_recorded_yet_is_judged_again_once_they_are(tmp_path: Path) -> None:
    path = written(tmp_path)
    past, clock = Past(), Clock(after(70))
    past.recorded = after(50)
    made = reports(tmp_path, past=past, clock=clock)
    found = made.of(RUN)
    assert (found["verdict"], found["settled"]) == ("INVALID", False)
    clock.now = after(90)
    made.catch_up()
    assert (made.of(RUN)["settled"], made.word(RUN), (path / FILE).exists()) == (True, None, False)
    past.recorded = after(91)
    made.catch_up()
    assert made.word(RUN) == ("PASS", ("0.00% of 60 requests failed, the limit is 1.00%",))
    assert made.of(RUN)["verdict"] == "PASS"


def test_what_the_master_cannot_write_is_a_reason_and_its_report_is_not_kept(tmp_path: Path) -> None:
    path = written(tmp_path)
    made = Reports(tmp_path, Past(), "locust", Clock(), unwritten=lambda *about: f"{about} cannot be written")
    assert made.of(RUN)["reasons"] == [f"{(RUN, after(60))} cannot be written"]
    assert not (path / FILE).exists()


def test_other_words_judge_it_otherwise_and_change_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    made = reports(tmp_path)
    assert made.of(RUN, Ask(judge={"thresholds": "requests>100"}))["verdict"] == "FAIL"
    assert not (path / FILE).exists()
    assert made.of(RUN)["verdict"] == "PASS"


def test_a_run_shorter_than_a_look_at_the_containers_was_watched_all_the_same(tmp_path: Path) -> None:
    written(tmp_path, seconds=2)
    before = replace(container(1), points=tuple(replace(point, at=after(-3)) for point in container(1).points[:1]))
    found = reports(tmp_path, past=Past(series=[before])).of(RUN)
    assert (found["verdict"], found["generators"]) == ("PASS", [])
    assert reports(tmp_path, past=Past(series=[replace(before, points=())])).of(RUN, ANEW)["verdict"] == "INVALID"


@pytest.mark.parametrize("name", ["nope", "../../etc", "20261127T010203Z-0000", ""])
def test_what_is_no_run_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoSuchRunError, match="there is no run"):
        reports(tmp_path).of(name)


DAMAGES: dict[str, tuple[str, bytes | None]] = {
    "no run.json": ("run.json", None),
    "an empty run.json": ("run.json", b""),
    "a list": ("run.json", b"[]"),
    "no start": ("run.json", b"{}"),
    "a start that is no time": ("run.json", b'{"started_at": "noon"}'),
    "statistics of another kind": ("statistics.json", b'{"totals": 5, "endpoints": "x"}'),
    "groups of another kind": ("failure_groups.json", b'{"groups": [1]}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_hides_no_other_and_is_named(tmp_path: Path, damage: str) -> None:
    name, content = DAMAGES[damage]
    written(tmp_path, OTHER)
    path = written(tmp_path)
    (path / name).unlink(missing_ok=True) if content is None else (path / name).write_bytes(content)
    made = reports(tmp_path)
    listed = made.listing([RUN, OTHER])
    names = [run["run_id"] for run in listed["runs"]]
    if RUN not in names:
        ((run_id, reason),) = [(row["run_id"], row["reason"]) for row in listed["unreadable"]]
        assert (run_id, f"run {RUN} cannot be read" in reason, "\n" in reason) == (RUN, True, False)
        with pytest.raises(UnreadableRunError):
            made.of(RUN, ANEW)
    assert OTHER in names
    made.catch_up()
    assert made.word(OTHER) is not None


def test_the_list_of_runs_is_there_beside_a_damaged_one(tmp_path: Path) -> None:
    written(tmp_path, OTHER)
    (tmp_path / RUN).mkdir()
    app = served(tmp_path)
    answer = ask(app, "/api/runs")
    assert (answer.status, [run["run_id"] for run in answer.json["runs"]]) == (200, [OTHER])
    assert [row["run_id"] for row in answer.json["unreadable"]] == [RUN]
    assert ask(app, f"/api/runs/{RUN}").status == 404


def test_a_long_run_is_read_in_bounded_steps_with_its_last_moment(tmp_path: Path) -> None:
    path = written(tmp_path)
    with (path / "timeline.ndjson").open("w") as file:
        file.writelines(line(second) + "\n" for second in range(30_000))
    found = disk.read(tmp_path, RUN, LATER)
    assert len(found.moments) <= 7202
    assert found.moments[-1].at == after(29_999)


def test_every_run_that_is_over_is_judged_by_itself(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, OTHER, seconds=30, ends=False)
    made = reports(tmp_path)
    assert made.word(RUN) is None
    made.catch_up()
    assert made.word(RUN) == ("PASS", ("0.00% of 60 requests failed, the limit is 1.00%",))
    assert (made.word(OTHER) or ("",))[0] == "INVALID"


def test_the_thread_that_judges_ends_when_told_to(tmp_path: Path) -> None:
    judge = Judge(reports(tmp_path))
    judge.start()
    judge.stop()
    assert not judge._thread.is_alive()


def served(runs: Path) -> Starlette:
    return make_app(Board(lambda: LATER), asyncio.Event(), clock=lambda: LATER, reports=reports(runs))


def test_the_routes_give_list_report_and_page(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, OTHER, seconds=30, ends=False)
    app = served(tmp_path)
    listed = ask(app, "/api/runs").json["runs"]
    assert [(one["run_id"], one["verdict"]) for one in listed] == [(OTHER, "INVALID"), (RUN, "PASS")]
    assert len(ask(app, "/api/runs", limit="1").json["runs"]) == 1
    assert ask(app, f"/api/runs/{RUN}").json["verdict"] == "PASS"
    judged = ask(app, f"/api/runs/{RUN}", judge='{"thresholds": "requests>100"}', users="77").json
    assert judged["verdict"] == "FAIL"
    page = ask(app, f"/runs/{RUN}")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert RUN in page.body.decode()


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/runs/nope", "", 404),
        ("/runs/nope", "", 404),
        (f"/api/runs/{RUN}", f"baseline={OTHER}", 404),
        (f"/api/runs/{RUN}", "judge=5", 400),
        (f"/api/runs/{RUN}", "judge=x", 400),
        (f"/api/runs/{RUN}", "users=-1", 400),
        ("/api/runs", "limit=0", 400),
        ("/api/runs", "what=1", 400),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, path: str, query: str, status: int) -> None:
    written(tmp_path)
    answer = ask(served(tmp_path), path, query)
    assert answer.status == status
    assert answer.json["error"]


def test_a_baseline_is_compared_with(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, OTHER)
    times: dict[str, Any] = {"gamma": 1.02, "endpoints": []}
    for run_id, index in ((RUN, 200), (OTHER, 230)):
        one = {"method": "GET", "name": "/cart", "good": {"buckets": {str(index): 500}}, "failed": {"buckets": {}}}
        (tmp_path / run_id / "performance.json").write_text(json.dumps({**times, "endpoints": [one]}))
    found = reports(tmp_path).of(OTHER, Ask(baseline=RUN))["comparison"]
    assert [(change["name"], change["figure"], change["is_worse"]) for change in found["changes"]] == [
        ("/cart", "median", True),
        ("/cart", "p95", True),
    ]


def test_the_newest_is_last(tmp_path: Path) -> None:
    for run_id in (OTHER, RUN, "no run"):
        (tmp_path / run_id).mkdir()
    assert disk.ids(tmp_path) == [RUN, OTHER]
    assert disk.ids(tmp_path / "gone") == []
    assert timedelta(0) < LATER - START


def test_failures_of_the_run_before_are_no_incident_of_this_one(tmp_path: Path) -> None:
    """The span closes some seconds after that run's end, and by then the next may have begun."""
    written(tmp_path)
    kinds = [
        incident(IncidentKind.FAILURE_RATIO, -10, until=after(9), run_id="20261127T010000Z-0000"),
        incident(IncidentKind.FAILURE_RATIO, 20, until=after(30), run_id=RUN),
        incident(IncidentKind.BLIND, -10, until=after(1), run_id="20261127T010000Z-0000"),
    ]
    found = reports(tmp_path, *kinds).of(RUN)
    assert [(one["kind"], one["at"]) for one in found["incidents"]] == [
        ("blind", format_time(after(-10))),
        ("failure_ratio", format_time(after(20))),
    ]
