"""`kit diagnose`: its words, its exit codes, its answers without an engine."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec.structs
import pytest

from sidecar.cli.verbs import VERBS, call
from sidecar.client.reader import SidecarReader
from sidecar.common.errors import KitError, SettingError
from sidecar.diagnose.catalogue import causes
from sidecar.diagnose.evidence import Evidence, KnownIncident
from sidecar.model import document
from sidecar.stack import workspace
from tests.unit.diagnose.scene import changed, told, well


def asked(tmp_path: Path, evidence: Evidence, *words: str) -> int:
    """Run the verb on recorded evidence; its exit code."""
    path = tmp_path / "evidence.json"
    path.write_bytes(document.dumps(evidence))
    return call(VERBS["diagnose"], ["--from", str(path), *words], {})


def test_no_error_is_exit_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path, well()) == 0
    assert capsys.readouterr().out.startswith("All is well")


def test_a_note_is_kept_with_the_cause_and_shown_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    broken = changed(well(), "locust-master-1", state="exited", exit_code=1)
    broken = replace(broken, monitor=None)
    asked(tmp_path, broken, "NOTE=somebody\nran the wrong file")
    said = capsys.readouterr()
    assert "Earlier note" not in said.out
    assert said.err == "kit diagnose: note saved for master-exited; the monitor has no matching incident\n"
    asked(tmp_path, broken)
    assert f"Earlier note: {broken.at:%Y-%m-%d} somebody ran the wrong file" in capsys.readouterr().out
    asked(tmp_path, well())
    assert "Earlier note" not in capsys.readouterr().out


def test_a_note_goes_to_the_incident_of_the_container_in_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(SidecarReader, "note", lambda _self, incident, text: sent.append((incident, text)))
    broken = changed(well(), "locust-master-1", state="exited", exit_code=1)
    assert broken.monitor is not None
    known = [
        KnownIncident("a" * 16, "exit", broken.at - timedelta(seconds=9), "", container="locust-master-1"),
        KnownIncident("b" * 16, "exit", broken.at - timedelta(seconds=5), "", container="locust-master-1"),
        KnownIncident("c" * 16, "exit", broken.at, "", container="locust-worker-9"),
    ]
    broken = replace(broken, monitor=msgspec.structs.replace(broken.monitor, incidents=tuple(known)))
    asked(tmp_path, broken, "--note", "x")
    assert sent == [("b" * 16, "x")]
    assert f"and for the incident {'b' * 16}" in capsys.readouterr().err


def test_notes_that_cannot_be_read_are_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "ROOT", tmp_path)
    kept = tmp_path / ".locust-kit" / "notes.json"
    kept.parent.mkdir()
    kept.write_text("{")
    with pytest.raises(KitError, match="cannot be read"):
        asked(tmp_path, well(), "NOTE=x")
    assert kept.read_text() == "{"


def test_an_error_is_exit_1(tmp_path: Path) -> None:
    assert asked(tmp_path, changed(well(), "locust-master-1", state="exited", exit_code=1)) == 1


def test_a_warning_alone_is_exit_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path, told(well(), "locust-worker-1", LOCUST_LOGFILE="/var/l.log"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"]["root_cause"] == "log-file-hides-logs"


def test_json_is_the_document_of_the_design(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(tmp_path, changed(well(), "locust-worker-1", state="paused"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert set(found["summary"]) == {"ok", "info", "warn", "error", "skip", "unknown", "root_cause"}
    assert sum(count for name, count in found["summary"].items() if name != "root_cause") == len(found["checks"])
    (one,) = found["findings"]
    assert {"code", "slug", "severity", "title", "evidence", "cause", "confidence", "affects", "fix"} <= set(one)
    assert set(one["fix"]) == {"text", "commands"}
    assert set(one["evidence"][0]) == {"what", "seen", "wanted", "at"}


@pytest.mark.parametrize("words", [["--format", "markdown"], ["--format=markdown"], ["FORMAT=markdown"]])
def test_an_option_may_be_a_word_for_make(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked(tmp_path, well(), *words)
    assert capsys.readouterr().out.startswith("## Diagnosis of")


def test_variables_of_make_are_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(document.dumps(well()))
    call(
        VERBS["diagnose"],
        ["--from", str(path)],
        {"MAKEFLAGS": " -- FORMAT=json ONLY=network", "FORMAT": "json", "ONLY": "network"},
    )
    assert {check["layer"] for check in json.loads(capsys.readouterr().out)["checks"]} == {"network"}


def test_variables_of_the_environment_alone_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(document.dumps(well()))
    call(VERBS["diagnose"], ["--from", str(path)], {"FORMAT": "json", "NOTE": "x"})
    assert capsys.readouterr().out.startswith("All is well")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--nonsense"], "--json"),
        (["nonsense"], "NAME=VALUE"),
        (["--format", "xml"], "markdown"),
        (["--only", "network-filterd"], "network-filtered"),
        (["--explain", "oom"], "--list"),
        (["--bundle"], "--bundle"),
    ],
)
def test_a_word_that_means_nothing_is_one_line(words: list[str], wanted: str) -> None:
    with pytest.raises(SettingError) as told_:
        call(VERBS["diagnose"], words, {})
    assert wanted in told_.value.line()
    assert told_.value.exit_code == 2


def test_evidence_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(KitError, match="holds no evidence"):
        call(VERBS["diagnose"], ["--from", str(path)], {})


def test_list_and_explain_need_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(VERBS["diagnose"], ["--list"], {}) == 0
    assert call(VERBS["diagnose"], ["--explain", "network-filtered"], {}) == 0
    out = capsys.readouterr().out
    assert all(slug in out for slug in causes())


def test_only_a_cause_shows_the_checks_that_can_find_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    e = changed(well(), "locust-worker-1", state="paused")
    assert (
        asked(tmp_path, replace(e, engine=replace(e.engine, version="20.1")), "--only", "container-paused", "--json")
        == 1
    )
    found = json.loads(capsys.readouterr().out)
    assert [finding["slug"] for finding in found["findings"]] == ["container-paused"]


def test_nothing_learnt_is_exit_3(tmp_path: Path) -> None:
    assert (
        asked(
            tmp_path,
            replace(well(), containers=(), probes=(), engine=replace(well().engine, status="hung")),
            "--only",
            "target",
        )
        == 3
    )


def test_a_socket_that_nobody_listens_on_is_told_within_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(
        VERBS["diagnose"],
        ["--json", "PROJECT=nobody"],
        {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": "/usr/bin:/bin"},
    )
    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert found["summary"]["root_cause"] == "docker-unreachable"
    assert found["findings"][0]["fix"]["commands"][0].startswith("env -u DOCKER_HOST")


def test_a_socket_that_never_answers_is_told_to_hang(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket  # noqa: PLC0415  of this test alone

    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(20)
        code = call(
            VERBS["diagnose"], ["--json", "PROJECT=nobody"], {"DOCKER_HOST": f"unix://{path}", "PATH": "/usr/bin:/bin"}
        )
    found = json.loads(capsys.readouterr().out)
    assert (code, found["summary"]["root_cause"]) == (1, "docker-unreachable")
    assert "no answer" in found["findings"][0]["title"]


def test_an_engine_that_is_elsewhere_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    code = call(
        VERBS["diagnose"],
        ["--json", "PROJECT=nobody"],
        {"DOCKER_HOST": "tcp://engine.invalid:2375", "PATH": "/usr/bin:/bin"},
    )
    found = json.loads(capsys.readouterr().out)
    assert (code, found["summary"]["root_cause"]) == (1, "docker-unreachable")
