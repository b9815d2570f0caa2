"""What `run` alone puts into a run's record: incidents, the load machine's limits, users who never came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.client.documents import IncidentList, Recording
from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.commands.follow import RunObserved
from sidecar.commands.plan import MasterInfo, RunPlan
from sidecar.commands.seen import FinishedRun, incidents_since, record_of
from sidecar.locust_api.connection import MasterDownError
from sidecar.model.incident import FINAL, PROVISIONAL, ExitReason, Incident, IncidentKind, Severity
from sidecar.model.run_record import RunRecord, Unknown
from sidecar.report.verdict.judge import judge, judged_document
from sidecar.settings import load

START = datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC)
SEEN = frozenset({Unknown.SECONDS, Unknown.CONTAINERS})
FULL = "incidents cannot be recorded: full"
KILL = Incident(
    "a" * 16, IncidentKind.OOM_KILL, Severity.ERROR, START + timedelta(seconds=5),
    "OOM kill: locust-worker-1, 1 process",
    state=FINAL, project="locust", service="locust-worker",
)  # fmt: skip


def answered(
    monkeypatch: pytest.MonkeyPatch, *answers: tuple[Incident, ...] | MonitorError, project: str = "locust"
) -> None:
    left = list(answers)

    def incidents(_: SidecarReader, **asked: Any) -> IncidentList:
        assert asked["since"].startswith("2026-11-27T01:02:03")
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, MonitorError):
            raise found
        return IncidentList(project, START, found, ())

    monkeypatch.setattr(SidecarReader, "incident_list", incidents)


def reasons(tmp_path: Path, *words: str) -> tuple[str, ...]:
    incidents, unwatched, _ = incidents_since(load(list(words), {}, tmp_path), START, lambda _: None)
    record = RunRecord("r", START, START, incidents=incidents, unwatched=unwatched, watched_until=START, unknown=SEEN)
    return tuple(reason.text for reason in judge(record).broken if reason.kind != "no_requests")


def test_what_the_sidecar_saw_break_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = replace(KILL, id="b", at=START - timedelta(seconds=1))
    asked_for = replace(KILL, id="c", kind=IncidentKind.EXIT, reason=ExitReason.STOPPED)
    of_others = replace(KILL, id="d", project="shop")
    answered(monkeypatch, (KILL, before, asked_for, of_others))
    assert reasons(tmp_path) == (KILL.text,)


def test_an_incident_that_may_still_change_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    early = replace(KILL, state=PROVISIONAL, until=KILL.at)
    answered(monkeypatch, (early,), (early,), (replace(KILL, text="2 processes", until=KILL.at),))
    assert reasons(tmp_path) == ("2 processes",)


def test_a_sidecar_that_was_not_there_saw_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answered(monkeypatch, MonitorError("connection refused"))
    assert reasons(tmp_path) == (
        "the monitor was not running, so OOM kills and restarts were not recorded: connection refused",
    )


def test_another_stacks_sidecar_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answered(monkeypatch, (KILL,), project="shop")
    (reason,) = reasons(tmp_path)
    assert "belongs to the stack 'shop'" in reason


@pytest.mark.parametrize(
    ("recording", "found"),
    [
        (None, []),  # an older monitor
        (Recording(START + timedelta(seconds=60)), []),
        (
            Recording(START + timedelta(seconds=41), START + timedelta(seconds=41), FULL),
            [f"the containers were not watched from 01:02:44 UTC to the end, 19 s: {FULL}"],
        ),
        (
            Recording(None, START, "no ledger"),
            ["the containers were not watched from 01:02:03 UTC to the end, 60 s: no ledger"],
        ),
    ],
)  # fmt: skip
def test_a_monitor_that_cannot_record_is_no_witness(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recording: Recording | None, found: list[str]
) -> None:
    told = IncidentList("locust", START, (), (), recording)
    monkeypatch.setattr(SidecarReader, "incident_list", lambda *_, **__: told)
    record = record_of(Master(), load([], {}, tmp_path), done(1, 1, 60), lambda _: None)  # type: ignore[arg-type]
    assert [reason.text for reason in judge(record).broken if reason.kind == "not_recorded"] == found


class Master:
    """Tells of its failures and meters, and of nothing else."""

    def __init__(self, failures: dict[str, Any] | None = None, meters: dict[str, Any] | None = None) -> None:
        self._failures, self._meters = failures, meters or {}

    def status(self) -> dict[str, Any]:
        if self._failures is None:
            raise MasterDownError("gone")
        return {"failures": self._failures, "meters": self._meters}

    def json(self, _: str) -> dict[str, Any]:
        raise MasterDownError("gone")


ABOUT = MasterInfo((), {}, "", class_picker=False, changed_on_disk=(), stale_processes=0, locustfile_sha256="",
                   version="2.47.0", run_id="")  # fmt: skip


def done(
    users: int, most: int, seconds: float, *, rate: float = 10.0, run_time: int = 60, shape: str = ""
) -> FinishedRun:
    plan = RunPlan(users, rate, run_time, "", (), shape, class_picker=False)
    return FinishedRun(plan, ABOUT, "r", RunObserved(started=True, most_users=most), START, seconds, "", {})


def reasons_of(
    monkeypatch: pytest.MonkeyPatch, root: Path, run: FinishedRun, kind: str, master: Master | None = None
) -> list[str]:
    """The texts of one kind of reason, with a monitor that saw nothing break."""
    answered(monkeypatch, ())
    settings = load([f"SPAWN_RATE={run.plan.spawn_rate:g}"], {}, root)
    record = record_of(master or Master(), settings, run)  # type: ignore[arg-type]
    return [reason.text for reason in judge(record).broken if reason.kind == kind]


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        (None, []),
        ({}, []),
        ({"classes": {"server_error": 5}}, []),
        (
            {"classes": {"generator": 7}, "groups": [{"class": "generator", "detail": "EMFILE"}, {"class": "dns"}]},
            ["7 requests failed because of a limit of the load machine (EMFILE)"],
        ),
    ],
)
def test_the_load_machines_own_limits_are_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: dict[str, Any] | None, told: list[str]
) -> None:
    assert reasons_of(monkeypatch, tmp_path, done(1, 1, 60), "generator_limits", Master(failures)) == told


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (done(100, 100, 60), []),
        (done(100, 40, 60), ["at most 40 of 100 users were running"]),
        (done(100, 40, 14), []),  # the ramp has only just ended: the master's figures are seconds old
        (done(1, 0, 9, run_time=2), []),  # on a busy master a run of 2 s takes 9 s; no figure had its user
        (done(100, 40, 60, shape="Steps"), []),
        (done(0, 40, 60), []),  # followed: how many were asked for, nobody here knows
        (
            done(1000, 300, 30, run_time=30),
            ["at most 300 of 1000 users were running: the ramp takes 100 s at 10 users/s, but RUN_TIME is 30 s"],
        ),
    ],
)
def test_users_who_never_came_are_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: FinishedRun, told: list[str]
) -> None:
    assert reasons_of(monkeypatch, tmp_path, run, "users_short") == told


def test_what_came_after_the_end_is_in_no_figure_and_counts_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answered(monkeypatch, ())
    load_only = {"method": "GET", "name": "/a", "num_requests": 990, "num_failures": 0}
    both = {"method": "POST", "name": "/b", "num_requests": 8, "num_failures": 7}
    goodbye = {"method": "POST", "name": "/logout", "num_requests": 2, "num_failures": 1}
    whole = {"method": "", "name": "Aggregated", "num_requests": 1000, "num_failures": 8}
    after = {
        "requests": 9,
        "failures": 8,
        "endpoints": [
            {"method": "POST", "name": "/b", "requests": 7, "failures": 7, "max_ms": 3.0},
            {"method": "POST", "name": "/logout", "requests": 2, "failures": 1, "max_ms": 3.0},
        ],
    }
    run = done(1, 1, 10, run_time=10)
    run = replace(run, seen=replace(run.seen, figures={"stats": [load_only, both, goodbye, whole]}))
    settings = load(["FAIL_RATIO=1%"], {}, tmp_path)
    record = record_of(Master({}, {"stopping": after}), settings, run, lambda _: None)  # type: ignore[arg-type]
    figures = record.figures
    assert (figures["requests"], figures["failures"], figures["fail_ratio"]) == (991, 0, 0.0)
    assert figures["requests_per_second"] == pytest.approx(99.1)
    rows = record.statistics["endpoints"]
    assert [(row["name"], row["requests"], row["failures"]) for row in rows] == [("/a", 990, 0), ("/b", 1, 0)]
    assert rows[1]["requests_per_second"] == pytest.approx(0.1)
    assert all(check["passed"] for check in judged_document(judge(record))["checks"])
