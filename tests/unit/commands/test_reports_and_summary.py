"""The folder of reports, and the table that ends a run."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidecar.commands import report, reports, summary
from sidecar.common.console import Console
from sidecar.common.errors import KitError
from sidecar.settings import load
from tests.ports import free_port


def test_a_second_report_of_a_run_gets_a_number(tmp_path: Path) -> None:
    assert [reports.new_folder(tmp_path, "r").name for _ in range(3)] == ["r", "r-2", "r-3"]


def test_a_reports_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KitError, match=r"REPORTS_DIR .* cannot be written"):
        reports.new_folder(tmp_path / "file" / "x", "r")


def test_without_monitor_and_docker_command_the_runs_cannot_be_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = load([f"MONITOR_PORT={free_port()}"], {}, tmp_path)
    with pytest.raises(report.NoRecordError) as caught:
        report.document(settings, {})
    line = caught.value.line()
    assert "the monitor did not answer" in line
    assert line.endswith("and the docker command is not installed → run `make setup`")
    assert report.newest_since(settings, datetime.now(UTC)) == ""


def test_the_list_of_runs_names_the_runs_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Console, out: io.StringIO
) -> None:
    reason = "run 20261127T010203Z-ab12 cannot be read: its run.json is missing or damaged"
    listed = {"schema_version": 1, "runs": [], "unreadable": [{"run_id": "20261127T010203Z-ab12", "reason": reason}]}

    def answer(*_: object) -> str:
        return json.dumps(listed)

    monkeypatch.setattr(report, "_by_helper", answer)
    assert report.report(load([f"MONITOR_PORT={free_port()}"], {}, tmp_path), {}, say) == 0
    assert out.getvalue().splitlines()[0] == f"warning: {reason}"


def test_reports_are_listed_oldest_first_and_broken_ones_left_out(tmp_path: Path) -> None:
    for name, at in (("b", "2026-01-02"), ("a", "2026-01-03")):
        reports.save(
            reports.new_folder(tmp_path, name), {"started_at": at, "verdict": "PASS", "figures": {"requests": 5}}, []
        )
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "report.json").write_text("{")
    found = reports.all_runs(tmp_path)
    assert [folder.name for folder, _ in found] == ["b", "a"]
    assert [line.split()[0] for line in reports.table([reports.ReportRow.of(one) for one in found])] == [
        "RUN",
        "b",
        "a",
    ]


def test_reports_made_under_sudo_belong_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: owners.update({Path(path).name: (uid, gid)}))
    reports.hand_over([tmp_path / "run.json"], {"SUDO_UID": "1000", "SUDO_GID": "1001"})
    reports.hand_over([tmp_path / "other"], {})
    assert owners == {"run.json": (1000, 1001)}


def test_the_table_keeps_to_its_width_and_says_what_it_leaves_out() -> None:
    times = {"median_ms": 3, "p95_ms": 4, "p99_ms": 5, "max_ms": 6}
    row = {"method": "GET", "requests": 10, "failures": 1, "fail_ratio": 0.1, "requests_per_second": 0.5, **times}
    rows = [{**row, "name": f"/{'x' * 90}/{n}"} for n in range(40)]
    others = {**row, "name": "(others)", "names": 12_891, "median_ms": None, "requests": 100}
    after = {"method": "POST", "name": "/logout", "requests": 20, "failures": 6, "fail_ratio": 0.3}
    everything = {**row, "requests": 500, "requests_per_second": 25.0}
    lines = summary.table(
        {"endpoints": [*rows, others], "figures": everything, "after_the_end": {"endpoints": [after]}}, 80
    )
    assert max(map(len, lines)) <= 80
    assert lines[-3].split() == ["…", "and", "12,901", "more", "names", "200", "11", "(5.5%)", *"––––", "5.5"]
    assert lines[-2].split()[:2] == ["all", "500"]
    assert lines[-1].startswith("after the end: POST /")
    assert lines[-1].split()[-8:] == ["20", "6", "(30.0%)", *"–––––"]


def test_what_a_master_has_no_row_for_is_among_others() -> None:
    row = {"method": "GET", "name": "/a", "num_requests": 10, "num_failures": 1, "total_rps": 99.0}
    whole = {**row, "name": "Aggregated", "num_requests": 30, "num_failures": 5}
    named, others = summary.endpoints({"stats": [row, whole]}, 20.0)
    assert (named["name"], named["requests_per_second"]) == ("/a", 0.5)
    assert (others["name"], others["requests"], others["failures"]) == ("(others)", 20, 4)
    assert summary.endpoints({"stats": [{**row, "name": "/b"}, {**row, "name": "Aggregated"}]}, 0.0)[1:] == []
