"""What version 0.1.0 wrote (runs, ledger, history, reports, the state of `up`) is read by this one.

The files were recorded from a real stack before the code moved into rooms: a run that passed, one whose worker was
killed, one whose threshold failed, and a self-test's OOM kills in between. The one path of the machine that recorded
them, in the events of Docker, was replaced.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.commands.reports import ReportRow, all_runs, rendered
from sidecar.common.times import parse_time
from sidecar.incidents.container_history import ContainerHistory
from sidecar.incidents.host_count import HostKillCount
from sidecar.incidents.reducer import IncidentReducer
from sidecar.ledger.history import History
from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerArchive, LedgerReader
from sidecar.model.history import IncidentQuery, LogQuery
from sidecar.model.incident import FINAL, IncidentKind
from sidecar.report.runs.reports import ANEW, PLAIN, Ask, Reports
from sidecar.stack import state
from tests.fakes.ledger_samples import events_of

DATA = Path(__file__).parent / "data"
PROJECT = "basefix"
PASSED, INVALID, FAILED = "20261130T152702Z-df47", "20261130T152725Z-ef8f", "20261130T152744Z-d11f"
BEGAN, LATER = datetime(2026, 11, 30, 15, 26, tzinfo=UTC), datetime(2026, 11, 30, 16, tzinfo=UTC)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy, which may be written to: a reader of SQLite makes files of its own beside the database."""
    shutil.copytree(DATA, tmp_path, dirs_exist_ok=True)
    for packed in (tmp_path / "ledger").glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return tmp_path


@pytest.fixture
def reports(old: Path, monkeypatch: pytest.MonkeyPatch) -> Reports:
    monkeypatch.setattr("os.cpu_count", lambda: 2)  # those of the machine that recorded it
    archive = LedgerArchive(old / "ledger", HistoryReader(old / "ledger"))
    return Reports(old / "runs", archive, PROJECT, lambda: LATER, "0.1.0")


def kept(run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "runs" / run_id / "report.json").read_text())
    return found


def without_new_fields(found: Any, old: Any) -> Any:
    """The document without the fields that the old version had no name for: a document only ever gains fields."""
    if isinstance(found, dict) and isinstance(old, dict):
        return {name: without_new_fields(value, old[name]) for name, value in found.items() if name in old}
    if isinstance(found, list) and isinstance(old, list) and len(found) == len(old):
        return [without_new_fields(value, before) for value, before in zip(found, old, strict=True)]
    return found


@pytest.mark.parametrize(
    ("run_id", "word", "code", "reason"),
    [
        (PASSED, "PASS", 0, "0.00% of 123 requests failed, the limit is 0.00%"),
        (INVALID, "INVALID", 4, "1 worker went missing during the run"),
        (FAILED, "FAIL", 3, "p95 122 ms (limit p95<1)"),
    ],
)
def test_a_report_made_anew_of_an_old_run_is_the_one_that_the_old_version_kept(
    reports: Reports, run_id: str, word: str, code: int, reason: str
) -> None:
    found = json.loads(json.dumps(reports.of(run_id, ANEW)))
    assert (found["verdict"], found["exit_code"], found["reasons"]) == (word, code, [reason])
    for advice, before in zip(found["capacity"]["advice"], kept(run_id)["capacity"]["advice"], strict=True):
        assert advice["why"]
        advice["why"] = before["why"]  # the sentence has other words now
    if run_id == FAILED:  # this sentence, too
        (threshold,) = found["judged"]["thresholds"]
        threshold["text"] = found["reasons"][0] = "p95<1: 122 ms"
    assert without_new_fields(found, kept(run_id)) == kept(run_id)


@pytest.mark.parametrize("run_id", [PASSED, INVALID, FAILED])
def test_a_report_that_the_old_version_kept_is_shown_as_it_is(reports: Reports, old: Path, run_id: str) -> None:
    for path in (old / "runs").rglob("*"):
        os.utime(path, (1, 1) if path.name != "report.json" else None)  # a clone has files of any order
    assert reports.of(run_id, PLAIN) == kept(run_id)


@pytest.mark.parametrize("run_id", [PASSED, INVALID, FAILED])
def test_every_kind_of_report_is_made_of_an_old_document(run_id: str) -> None:
    document = kept(run_id)
    assert {name for name, content in rendered(document) if run_id in content.decode()} == {
        "report.html",
        "report.md",
        "junit.xml",
    }


def test_the_list_of_old_runs_has_all_three(reports: Reports) -> None:
    gists = [reports.gist(run_id) for run_id in reports.ids()]
    assert [(gist["run_id"], gist["verdict"], gist["requests"]) for gist in gists] == [
        (PASSED, "PASS", 123),
        (INVALID, "INVALID", 106),
        (FAILED, "FAIL", 102),
    ]


def test_an_old_run_is_compared_with_an_older_one(reports: Reports) -> None:
    compared = reports.of(FAILED, Ask(baseline=PASSED))["comparison"]
    assert (compared["baseline"], compared["unlike"], compared["new"], compared["gone"]) == (PASSED, [], [], [])
    assert len(compared["changes"]) + compared["same"] + len(compared["unsure"]) >= 3


def test_the_folder_of_old_reports_lists_them(old: Path) -> None:
    rows = [ReportRow.of(run) for run in all_runs(old / "reports")]
    assert [(row.name, row.verdict, row.figures["requests"]) for row in rows] == [
        (PASSED, "PASS", 123),
        (INVALID, "INVALID", 106),
        (FAILED, "FAIL", 102),
    ]


def test_incidents_of_the_old_ledger_are_read_with_their_evidence(old: Path) -> None:
    reader = LedgerReader(old / "ledger")
    everything = reader.incidents(IncidentQuery(helpers=True, limit=100, newest_first=False))
    assert Counter(incident.kind for incident in everything) == Counter(
        {IncidentKind.OOM_KILL: 6, IncidentKind.EXIT: 4, IncidentKind.RESTART: 3, IncidentKind.WORKER_LEFT: 1}
    )
    assert sum(incident.count for incident in everything if incident.kind is IncidentKind.OOM_KILL) == 8
    children = next(incident for incident in everything if incident.count == 3)
    assert (children.process_survived, children.state) == (True, FINAL)
    assert children.evidence[0].text == "oom_kill of the container's cgroup reads 3"
    assert reader.incident(children.id) == children
    events = events_of(reader, str(children.container_id))
    assert [event.action for event in events].count("oom") == 3
    reader.close()


def test_the_old_counting_goes_on_where_it_was(old: Path) -> None:
    ledger = Ledger(old / "ledger", lambda: LATER)
    assert ledger.notes == ()
    known = ledger.state()
    reducer = IncidentReducer([PROJECT], lambda incident: incident, state=known, incidents=ledger.open_incidents(0))
    reducer.changes()
    (now, dropped), before = reducer.kept(), known["account"]
    assert dropped == []
    assert (now["alive_ns"], now["account"]["total"]) == (known["alive_ns"], 8)
    assert sorted(map(list, now["account"]["complete"])) == sorted(before["complete"])
    assert {key[:12]: reason for key, reason in reducer.exit_reasons().items()} == {"b9cbce0a2150": "stopped"}
    ledger.close()


def test_the_old_state_of_containers_is_written_back_under_the_same_keys(old: Path) -> None:
    ledger = Ledger(old / "ledger", lambda: LATER)
    known = ledger.state()
    containers = {key: value for key, value in known.items() if key.startswith("vessel/")}
    assert len(containers) >= 3
    assert {key: ContainerHistory.from_json(value).to_json() for key, value in containers.items()} == containers
    host_count = {**known["account"], "entries": [{"since_ns": 1, "until_ns": 2, "kills": 3, "told": "id"}]}
    host_count["claims"] = [{"container_id": "c", "life": "key", "at_ns": 1, "kills": 1}]
    assert json.loads(json.dumps(HostKillCount.from_json(host_count).to_json())) == host_count
    ledger.close()


def test_series_and_lines_of_the_old_history_are_read(old: Path) -> None:
    history = History(old / "ledger", lambda: LATER)
    assert history.notes == ()
    until = BEGAN + timedelta(minutes=4)
    series = history.series(since=BEGAN, until=until, points=60, project=PROJECT)
    assert [row.name for row in series if row.points] == [
        "basefix-docker-proxy-1",
        "basefix-locust-master-1",
        "basefix-locust-worker-1",
        "basefix-locust-worker-2",
        "basefix-mock-target-1",
        "basefix-monitor-1",
    ]
    assert all(point.working_set_max_bytes > 0 for row in series for point in row.points)
    run_points = history.run_series(since=BEGAN, until=until, points=240)
    assert max(point.users for point in run_points) == 10
    (line,) = history.search(LogQuery("failed to send heartbeat"))
    assert (line.name, line.service) == ("basefix-locust-master-1", "locust-master")
    assert {minute.name for minute in history.health(since=BEGAN, until=until)} == {
        "master",
        "sidecar",
        "statistics",
        "target",
    }
    history.close()


def test_what_the_old_up_was_told_and_decided_is_remembered(old: Path) -> None:
    (old / ".locust-kit").mkdir()
    (old / "state").rename(old / ".locust-kit" / "state")
    assert state.remembered(old, PROJECT) == {"WEB_PORT": "18089", "WORKERS": "2"}
    decided = state.read(state.path_of(old, PROJECT))["decided"]
    assert (decided["mock"], decided["proxy_user"]) == (True, "65534:105")
    assert [user_class["name"] for user_class in decided["user_classes"]] == ["ShopUser"]


def test_the_old_times_are_those_of_the_recording() -> None:
    assert BEGAN < parse_time(kept(PASSED)["started_at"]) < parse_time(kept(FAILED)["ended_at"]) < LATER
