"""The JSON routes over a pretended past: what they ask of it, what they answer, and how they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette

from sidecar.client.documents import IncidentList, Recording
from sidecar.common.errors import LedgerError
from sidecar.ledger.ledger_reader import EVERYTHING, LedgerArchive
from sidecar.model import document
from sidecar.model.history import IncidentQuery, LogQuery, RecordedSeries, RunPoint, SeriesPoint, StoredLine
from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity
from sidecar.model.snapshot import Blind, Snapshot
from sidecar.monitor.board import Board
from sidecar.serve.app import make_app
from tests.fakes.asking import Answer, ask
from tests.fakes.sidecar_samples import MIB, NOW, running

INCIDENT = Incident(
    id="0123456789abcdef",
    kind=IncidentKind.OOM_KILL,
    severity=Severity.ERROR,
    at=NOW - timedelta(minutes=1),
    text="worker 3 was OOM-killed",
    evidence=(EvidenceItem("log", "its last lines", lines=("one", "two")),),
)
BLIND = Blind(NOW - timedelta(minutes=5), NOW - timedelta(minutes=4), "sidecar", covered=False, text="it did not run")


class PretendPast(LedgerArchive):
    """Answers with what it holds, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.found_series: Sequence[RecordedSeries] = ()
        self.found_run: Sequence[RunPoint] = ()
        self.lines: Sequence[StoredLine] = ()

    def incidents(self, query: IncidentQuery = EVERYTHING) -> Sequence[Incident]:
        self.asked.append(query)
        return [INCIDENT]

    def incident(self, incident_id: str) -> Incident | None:
        return INCIDENT if incident_id == INCIDENT.id else None

    def blind(self, since: datetime | None, until: datetime | None) -> Sequence[Blind]:
        self.asked.append((since, until))
        return [BLIND]

    def series(
        self, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> Sequence[RecordedSeries]:
        del project
        self.asked.append((since, until, points))
        return self.found_series

    def run_series(self, since: datetime, until: datetime, points: int) -> Sequence[RunPoint]:
        self.asked.append((since, until, points))
        return self.found_run

    def search(self, query: LogQuery) -> Sequence[StoredLine]:
        self.asked.append(query)
        return self.lines[: query.limit]


class BrokenPast(PretendPast):
    """A ledger that cannot be read."""

    def incidents(self, query: IncidentQuery = EVERYTHING) -> Sequence[Incident]:
        raise LedgerError(f"the ledger is locked, limit {query.limit}", fix="wait")


def app_over(past: LedgerArchive | None, snapshot: Snapshot | None = None) -> Starlette:
    board = Board(lambda: NOW)
    if snapshot:
        board.publish(snapshot)
    return make_app(board, asyncio.Event(), archive=past, clock=lambda: NOW)


@pytest.fixture
def past() -> PretendPast:
    return PretendPast()


def test_incidents_come_with_project_time_and_blind_spans(past: PretendPast) -> None:
    answer = ask(app_over(past, running()), "/api/incidents")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    found = document.loads_as(IncidentList, answer.body, "list")
    assert found == IncidentList("locust", NOW, (INCIDENT,), (BLIND,), Recording())


def test_the_evidence_can_be_left_out(past: PretendPast) -> None:
    answer = ask(app_over(past), "/api/incidents", evidence="0")
    assert answer.json["incidents"][0]["evidence"] == []
    assert answer.json["incidents"][0]["id"] == INCIDENT.id


def test_every_parameter_of_the_incidents_reaches_the_past(past: PretendPast) -> None:
    ask(
        app_over(past), "/api/incidents", since="2026-11-22T15:00:00Z", until="2026-11-22T16:00:00+00:00",
        kind="oom_kill,restart", project="shop", limit="7", helpers="1",
    )  # fmt: skip
    since, until = datetime(2026, 11, 22, 15, tzinfo=UTC), datetime(2026, 11, 22, 16, tzinfo=UTC)
    kinds = (IncidentKind.OOM_KILL, IncidentKind.RESTART)
    assert past.asked == [IncidentQuery(since, until, kinds, "shop", 7, helpers=True), (since, until)]


def test_a_kind_may_be_given_several_times_and_a_plus_unescaped(past: PretendPast) -> None:
    answer = ask(app_over(past), "/api/incidents", "kind=exit&kind=restart&since=2026-11-22T15:00:00+01:00")
    assert answer.status == 200
    asked = past.asked[0]
    assert isinstance(asked, IncidentQuery)
    assert asked.kinds == (IncidentKind.EXIT, IncidentKind.RESTART)
    assert asked.since == datetime(2026, 11, 22, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("/api/incidents", "since=noon", "since is 'noon'; expected: an RFC 3339 time, as in 2026-11-22T15:04:05Z"),
        ("/api/incidents", "limit=0", "limit is '0'; expected: a whole number from 1 to 5000"),
        ("/api/incidents", "limit=99999999999999999999", "limit is '99999999999999999999'; expected: a whole number"),
        ("/api/incidents", "limit=%D9%A3", "limit is '٣'; expected: a whole number from 1 to 5000"),
        ("/api/incidents", "kind=oom", "kind is 'oom'; expected: one of oom_kill, restart, exit"),
        ("/api/incidents", "helpers=yes", "helpers is 'yes'; expected: 0 or 1"),
        ("/api/incidents", "kinds=exit", "parameter 'kinds' is unknown; expected: since, until, kind"),
        ("/api/incidents/0123456789abcdef", "x=1", "parameter 'x' is unknown; expected: no parameter"),
        (
            "/api/incidents",
            "since=2026-11-22T16:00:00Z&until=2026-11-22T15:00:00Z",
            "since is '2026-11-22T16:00:00Z'; expected: a time before until=2026-11-22T15:00:00Z",
        ),
        (
            "/api/logs",
            "q=" + "x" * 201,
            "q is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'; expected: at",
        ),
        ("/api/history", "points=1.5", "points is '1.5'; expected: a whole number from 1 to 2000"),
        ("/api/history", "until=0001-01-01T00:00:01Z", "expected: a time from 1970 to 9998"),
        ("/api/logs", "since=9999-12-31T23:59:59Z", "expected: a time from 1970 to 9998"),
        ("/api/history", "since=2020-01-01T00:00:00Z", "expected: up to 366 days, with since before until"),
        ("/api/history", "since=2027-01-01T00:00:00Z", "expected: up to 366 days, with since before until"),
    ],
)
def test_a_wrong_parameter_is_one_line(past: PretendPast, path: str, query: str, error: str) -> None:
    answer = ask(app_over(past), path, query)
    assert answer.status == 400
    assert error in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert answer.json["schema_version"] == 1
    assert past.asked == []


def test_one_incident_comes_with_its_evidence(past: PretendPast) -> None:
    answer = ask(app_over(past), f"/api/incidents/{INCIDENT.id}")
    assert document.loads_as(Incident, answer.body, "incident") == INCIDENT


def test_an_unknown_incident_is_404_in_one_line(past: PretendPast) -> None:
    answer = ask(app_over(past), "/api/incidents/none")
    assert answer.status == 404
    assert answer.json["error"] == "incident is 'none'; expected: the id of an incident in /api/incidents"


def test_log_lines_are_found_and_more_is_said(past: PretendPast) -> None:
    past.lines = [
        StoredLine(1_795_360_000_123_456_789 + number, "c" * 64, f"line {number}", "shop-web-1", "shop", "web")
        for number in range(3)
    ]
    answer = ask(app_over(past), "/api/logs", q="line", container="web", limit="2")
    assert past.asked == [LogQuery("line", "web", None, None, 3)]
    assert answer.json["more"] is True
    assert answer.json["lines"][0] == {
        "at": "2026-11-22T15:06:40.123Z", "service": "web", "container": "shop-web-1", "text": "line 0",
    }  # fmt: skip
    assert len(answer.json["lines"]) == 2
    assert ask(app_over(past), "/api/logs", limit="3").json["more"] is False


def test_series_are_laid_on_one_axis_with_gaps(past: PretendPast) -> None:
    def point(seconds: float, used: int, limit: int | None = 512) -> SeriesPoint:
        return SeriesPoint(NOW - timedelta(seconds=seconds), used, used * MIB, used * MIB + 1, limit, 10.0, 90.0, 5.0)

    past.found_series = [
        RecordedSeries("a" * 64, "one", "locust", "web", 1, (point(60, 100, 256), point(30, 90), point(29.9, 95))),
        RecordedSeries("b" * 64, "two", None, None, None, (point(30, 50, None),)),
    ]
    past.found_run = [RunPoint(NOW - timedelta(seconds=10), "running", 40, 80.5, 0.5, 12.0, None, 3)]
    found = ask(app_over(past, running()), "/api/history", points="60").json
    assert found["step_seconds"] == 15.0
    assert found["at"] == ["2026-11-22T15:03:05.000Z", "2026-11-22T15:03:35.000Z", "2026-11-22T15:03:50.000Z"]
    one, two = found["containers"]
    assert one["memory_working_set_bytes"] == [100 * MIB, 95 * MIB, None]
    assert (one["memory_limit_bytes"], two["memory_limit_bytes"]) == (512, None)
    assert one["cpu_percent"] == [10.0, 10.0, None]
    assert two["memory_usage_bytes"] == [None, 50 * MIB + 1, None]
    assert found["run"]["users"] == [None, None, 40]
    assert found["run"]["p95_ms"] == [None, None, None]
    assert found["incidents"][0]["evidence"] == []
    assert found["blind"][0]["source"] == "sidecar"


def test_history_asks_for_the_last_quarter_of_an_hour_by_itself(past: PretendPast) -> None:
    found = ask(app_over(past), "/api/history").json
    assert past.asked[0] == (NOW - timedelta(minutes=15), NOW, 300)
    assert found["at"] == []
    assert found["containers"] == []


def test_without_a_ledger_the_past_says_so_and_the_present_is_there() -> None:
    app = app_over(None, running())
    for path in ("/api/incidents", "/api/logs", "/api/history", "/api/incidents/x"):
        answer = ask(app, path)
        assert answer.status == 503
        assert answer.json["error"] == "there is no ledger: the monitor was started without one"
    assert ask(app, "/api/snapshot").status == 200


def test_a_ledger_that_cannot_be_read_is_503_in_one_line() -> None:
    answer = ask(app_over(BrokenPast()), "/api/incidents")
    assert answer.status == 503
    assert answer.json["error"] == "the ledger is locked, limit 200 → wait"


def metrics_answer(snapshot: Snapshot | None, **query: str) -> Answer:
    board = Board(lambda: NOW)
    if snapshot:
        board.publish(snapshot)

    def text(seen: Snapshot | None, legacy: bool) -> str:  # noqa: FBT001 -- as it is called
        return f"up {0 if seen is None else 1}\n{'legacy 1' if legacy else ''}"

    return ask(make_app(board, asyncio.Event(), metrics=text), "/metrics", **query)


def test_metrics_are_prometheus_text_before_and_after_the_first_snapshot() -> None:
    first, second = metrics_answer(None), metrics_answer(running())
    assert (first.body, second.body) == (b"up 0\n", b"up 1\n")
    assert second.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_metrics_take_the_unsound_name_on_request_and_nothing_else() -> None:
    assert metrics_answer(running(), legacy="1").body == b"up 1\nlegacy 1"
    assert metrics_answer(running(), legacy="0").body == b"up 1\n"
    wrong = metrics_answer(running(), lagacy="1")
    assert (wrong.status, "lagacy" in wrong.json["error"]) == (400, True)


def test_metrics_see_a_snapshot_that_is_overdue_as_stale() -> None:
    old = replace(running(), at=NOW - timedelta(minutes=1))
    board = Board(lambda: NOW)
    board.publish(old)
    seen: list[bool] = []

    def text(snapshot: Snapshot | None, _legacy: bool) -> str:  # noqa: FBT001 -- as it is called
        seen.append(snapshot is not None and snapshot.stale)
        return ""

    ask(make_app(board, asyncio.Event(), metrics=text), "/metrics")
    assert seen == [True]


def test_without_metrics_there_is_no_such_route() -> None:
    assert ask(app_over(None), "/metrics").status == 404
