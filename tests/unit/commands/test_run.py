"""`run` from end to end against a small real server that answers as a master does."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from sidecar.commands import artifacts, follow, reports, up
from sidecar.commands.run import run
from sidecar.common.errors import KitError, SettingError, StackError
from sidecar.locust_api.client import LocustApi
from sidecar.settings import load
from sidecar.stack import limits, state
from tests.fakes.fake_master import FakeMaster, figures
from tests.paths import ROOT

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

    from sidecar.common.console import Console

SCHEMA = Draft202012Validator(json.loads((ROOT / "docs" / "report.schema.json").read_text()))
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_EACH_SECONDS", 0.02)


def start(master: FakeMaster, root: Path, say: Console, *args: str) -> int:
    (root / "locustfiles").mkdir(exist_ok=True)
    words = [f"WEB_PORT={master.port}", f"MONITOR_PORT={master.sidecar.port}", "PROJECT=none", *args]
    return run(load(words, {}, root), NO_DOCKER, say)


def report(root: Path) -> dict[str, Any]:
    (path,) = (root / "reports").glob("*/report.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def running(*after: dict[str, Any]) -> list[dict[str, Any]]:
    return [figures("spawning", 1, users=1), figures("running", 5, users=2), *after]


def test_a_clean_run_passes_and_leaves_its_report(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "USERS=3", "RATE=3", "RUN_TIME=0") == 0
    assert out.getvalue().splitlines()[-1] == "PASS (exit 0)"
    document = report(tmp_path)
    assert (document["verdict"], document["exit_code"], document["passed"]) == ("PASS", 0, True)
    assert document["figures"]["requests"] == 40
    assert document["settings"]["users"] == 3
    assert document["workers"] == {
        "at_start": 2,
        "at_end": 2,
        "lost": [],
        "left": 0,
        "users_at_end": 2,
        "most_users": 2,
    }
    assert set(document["unknown"]) == {
        "the classes of the failures",
        "the figures of the containers",
        "the distribution of the response times",
        "what happened each second",
    }
    SCHEMA.validate(document)
    folder = next((tmp_path / "reports").iterdir())
    assert {path.name for path in folder.iterdir()} == {
        "report.json",
        "locust_report.html",
        "requests.csv",
        "failures.csv",
        "exceptions.csv",
        "failure_groups.json",
        "failure_analysis.csv",
        "performance.json",
        "report.md",
        "junit.xml",
    }
    assert str(folder) in out.getvalue()


def test_a_file_that_the_master_does_not_give_is_said_and_named_nowhere(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm, master.refused = running(figures("stopped", 40, 2)), "/stats/failures"
    assert start(master, tmp_path, say, "USERS=3", "RATE=3", "RUN_TIME=0", "FAIL_RATIO=1") == 0
    text = "not in the report: failures.csv: the master answers with status 500: 'no memory'"
    assert f"warning: {text}" in out.getvalue()
    assert out.getvalue().count("failures.csv") == 1
    (folder,) = (tmp_path / "reports").iterdir()
    assert text in report(tmp_path)["warnings"]
    assert "not in the report: failures.csv" in (folder / "report.md").read_text()
    assert not (folder / "failures.csv").exists()
    assert (folder / "requests.csv").exists()


def test_a_master_that_ends_while_the_tests_own_files_are_taken_has_given_its_files(
    master: FakeMaster, tmp_path: Path, say: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(*_: object) -> tuple[list[str], list[str]]:
        master.refused = "/stats"
        return [], []

    monkeypatch.setattr(artifacts, "collect", take)
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "USERS=3", "RATE=3", "RUN_TIME=0") == 0
    assert not any("not in the report" in line for line in report(tmp_path)["warnings"])


def test_failures_above_the_limit_fail(master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO) -> None:
    master.on_swarm = running(figures("stopped", 40, 2))
    assert start(master, tmp_path, say, "RUN_TIME=0", "FAIL_RATIO=1%") == 1
    assert "5.00% of 40 requests failed, the limit is 1.00%" in out.getvalue()
    assert "2 × GET /a (100.0%): 500" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "FAIL (exit 1)"


def test_failures_within_the_limit_pass(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.on_swarm = running(figures("stopped", 40, 2))
    assert start(master, tmp_path, say, "RUN_TIME=0", "FAIL_RATIO=5%") == 0


def test_a_threshold_that_does_not_hold_fails_with_its_own_code(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "RUN_TIME=0", "THRESHOLDS=requests>=41 ?requests<1 requests{name=/none}<5") == 3
    assert "requests 40 (limit requests>=41)" in out.getvalue().splitlines()
    assert out.getvalue().splitlines()[-1] == "FAIL (exit 3)"
    judged = report(tmp_path)["judged"]
    assert [(threshold["passed"], threshold["is_soft"]) for threshold in judged["thresholds"]] == [
        (False, False),
        (False, True),
        (True, False),
    ]


def test_a_bad_and_broken_run_is_invalid_and_says_both(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    lost = {"w1": "running", "w2": "missing"}
    for word, code in (("fail", 4), ("warn", 3)):
        master.on_swarm = running(figures("running", 9, workers=lost), figures("stopped", 40))
        root = tmp_path / word
        root.mkdir()
        assert start(master, root, say, "RUN_TIME=0", "THRESHOLDS=requests>41", f"ON_INVALID={word}") == code
        assert report(root)["verdict"] == "INVALID"
        assert report(root)["reasons"] == ["1 worker went missing during the run", "requests 40 (limit requests>41)"]
    assert out.getvalue().splitlines()[-1] == "INVALID (exit 3, ON_INVALID=warn)"


def test_a_percentile_of_too_few_requests_is_invalid(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "RUN_TIME=0", "THRESHOLDS=p99<2s") == 4
    assert "too few samples for p99<2s: no such request" in out.getvalue()


def test_thresholds_come_from_a_file_and_from_the_variables_of_locust_plugins(tmp_path: Path) -> None:
    (tmp_path / "limits").write_text("# the shop\np95<800  # ms\n\nfail_ratio < 1%\n")
    settings = load(["THRESHOLDS=rps>5", "THRESHOLDS_FILE=limits"], {}, tmp_path)
    environ = {"LOCUST_CHECK_FAIL_RATIO": "0.05", "LOCUST_CHECK_RPS": "7", "LOCUST_CHECK_AVG_RESPONSE_TIME": "300"}
    found = limits.thresholds(settings, environ)
    wanted = ["rps>5", "p95<800", "fail_ratio<1%", "fail_ratio<=0.05", "rps>=7", "avg<=300"]
    assert [one.text for one in found] == wanted
    assert limits.fail_ratio(settings, found) is None, "a threshold says it"
    assert limits.fail_ratio(settings, found[:1]) == 0
    with pytest.raises(SettingError, match="LOCUST_CHECK_RPS has an invalid threshold"):
        limits.thresholds(settings, {"LOCUST_CHECK_RPS": "many"})
    with pytest.raises(SettingError, match=r"THRESHOLDS_FILE .*gone cannot be read: No such file"):
        limits.thresholds(load(["THRESHOLDS_FILE=gone"], {}, tmp_path), {})


def test_the_report_is_added_to_a_jobs_summary(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.on_swarm = running(figures("stopped", 40))
    file = tmp_path / "summary"
    file.write_text("before\n")
    (tmp_path / "locustfiles").mkdir()
    words = [f"WEB_PORT={master.port}", f"MONITOR_PORT={master.sidecar.port}", "PROJECT=none", "RUN_TIME=0"]
    run(load(words, {}, tmp_path), NO_DOCKER | {"GITHUB_STEP_SUMMARY": str(file)}, say)
    assert file.read_text().startswith("before\n## ✅ PASS: ")


def test_a_lost_worker_makes_a_run_invalid(master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO) -> None:
    master.on_swarm = running(figures("running", 9, workers={"w1": "running", "w2": "missing"}), figures("stopped", 40))
    assert start(master, tmp_path, say, "RUN_TIME=0") == 4
    assert "1 worker went missing during the run" in out.getvalue()
    assert report(tmp_path)["workers"]["lost"] == ["w2"]


def test_workers_that_leave_with_their_users_are_said(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm = running(figures("running", 9, workers={"w1": "running"}, users=4), figures("stopped", 40))
    start(master, tmp_path, say, "RUN_TIME=0", "USERS=10")
    assert "1 worker left during the run and took users with them: 4 of 10 users were running" in out.getvalue()


def test_a_restarted_master_makes_a_run_invalid(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm = running(figures("ready", 0, workers={}))
    assert start(master, tmp_path, say, "RUN_TIME=0") == 4
    assert "the master was restarted during the run" in out.getvalue()
    left = {path.name for path in (tmp_path / "reports").glob("*/*")}
    assert left == {"report.json", "report.md", "junit.xml"}, "the new master knows no run"


def test_a_run_that_somebody_else_stops_is_invalid(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "RUN_TIME=60") == 4
    assert "stopped by somebody else after 0 s of 60 s" in out.getvalue()


def test_a_run_without_a_request_is_invalid(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.on_swarm = [figures("running"), figures("stopped")]
    assert start(master, tmp_path, say, "RUN_TIME=0") == 4


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ([{"count": 1, "msg": "rare"}, {"count": 7, "msg": "login failed\nat all"}], "raised 7 × login failed"),
        ([{"count": 2, "msg": "", "traceback": "File x\n    assert token\n"}], "raised 2 × assert token"),
    ],
)
def test_a_run_without_a_request_says_what_the_users_raised(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO, raised: list[dict[str, Any]], told: str
) -> None:
    master.exceptions = raised
    master.on_swarm = [figures("running"), figures("stopped")]
    assert start(master, tmp_path, say, "RUN_TIME=0") == 4
    line = f"no request was made; the users' code {told}"
    assert line in out.getvalue().splitlines()
    assert report(tmp_path)["reasons"][0] == line


def test_a_reports_folder_that_cannot_be_written_is_found_before_the_run(
    master: FakeMaster, tmp_path: Path, say: Console
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KitError, match=r"REPORTS_DIR .* cannot be written") as caught:
        start(master, tmp_path, say, f"REPORTS_DIR={tmp_path}/file/reports")
    assert caught.value.exit_code == 2
    assert master.posts == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KitError("no space left")])
def test_a_report_that_cannot_be_saved_leaves_summary_and_verdict(
    master: FakeMaster,
    tmp_path: Path,
    say: Console,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(reports, "save", full)
    master.on_swarm = running(figures("stopped", 40, 2))
    assert start(master, tmp_path, say, "RUN_TIME=0") == 1
    assert "report: not saved: no space left" in out.getvalue().lower()
    assert "GET /a" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "FAIL (exit 1)"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_was_collected_is_gone_when_its_report_is_not_saved(
    master: FakeMaster,
    tmp_path: Path,
    say: Console,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    def collect(_settings: object, _environ: object, _since: object, into: Path) -> tuple[list[str], list[str]]:
        (into / "locust-worker-1").mkdir(parents=True)
        return ["1 file that the test wrote"], []

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(artifacts, "collect", collect)
    monkeypatch.setattr(reports, "save", fail)
    master.on_swarm = running(figures("stopped", 40))
    with pytest.raises(KeyboardInterrupt) if isinstance(error, KeyboardInterrupt) else nullcontext():
        start(master, tmp_path, say, "RUN_TIME=0")
    assert not list((tmp_path / "reports").rglob("*artifacts*"))
    assert "1 file that the test wrote" not in out.getvalue()


def test_the_headline_fits_eighty_columns_and_says_what_narrows_the_run(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.status = {"run": None, "settings": {"tags": "slow checkout"}}
    master.on_swarm = running(figures("stopped", 40))
    words = ["USERS=1000", "RATE=100", "RUN_TIME=1h", "HOST=http://mock-target:8080", "TAGS=slow,checkout"]
    start(master, tmp_path, say, *words)
    first, second = out.getvalue().splitlines()[:2]
    assert first == "Run of 1000 users, 100 started per second, for 3600 s against http://mock-target:8080"
    assert second == "  only tags slow, checkout; Ctrl-C stops the run"


def test_an_unknown_class_is_refused_before_anything_is_recreated(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    state.write(state.path_of(tmp_path, "none"), {"decided": {"user_classes": [{"name": "A"}, {"name": "B"}]}})
    master.status = {"run": None, "settings": {"classes": "A"}}
    master.page = {"users": {"A": {"host": ""}}, "version": "2.47.0"}
    with pytest.raises(SettingError, match=r"CLASSES names 'Nope'.*A, B"):
        start(master, tmp_path, say, "CLASSES=Nope")
    assert out.getvalue() == ""


def test_no_argument_of_a_run_is_in_the_environment_from_which_containers_are_made_anew(
    master: FakeMaster, tmp_path: Path, say: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    master.status = {
        "run": None,
        "settings": {"tags": ""},
        "arguments": [{"name": "api_key", "is_secret": True, "flags": {"--api-key": None}}],
    }
    master.on_swarm = running(figures("stopped", 40))
    handed: list[dict[str, str]] = []
    monkeypatch.setattr(up, "up", lambda _settings, environ, *_, **__: handed.append(environ))
    environ = {**NO_DOCKER, "MAKEFLAGS": " -- api_key=sesame TAGS=pay", "api_key": "sesame", "TAGS": "pay"}
    words = [f"WEB_PORT={master.port}", f"MONITOR_PORT={master.sidecar.port}", "PROJECT=none"]
    run(load(words, environ, tmp_path, with_arguments=True), environ, say)
    assert ["sesame" in each.values() for each in handed] == [False]
    assert handed[0]["DOCKER_HOST"] == NO_DOCKER["DOCKER_HOST"]


def test_a_class_that_only_the_files_have_is_for_up_to_load(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.write(state.path_of(tmp_path, "none"), {"decided": {"user_classes": [{"name": "A"}, {"name": "B"}]}})
    master.status = {"run": {"run_id": "before"}, "settings": {"classes": "A"}}
    master.page = {"users": {"A": {"host": ""}}, "version": "2.47.0"}

    def up_loads_it(*_: object, **__: object) -> None:
        master.page = {"users": {"B": {"host": ""}}, "version": "2.47.0"}

    monkeypatch.setattr(up, "up", up_loads_it)
    master.on_swarm = running(figures("stopped", 40))
    start(master, tmp_path, say, "CLASSES=B", "RUN_TIME=0")
    assert "CLASSES: the running stack has other values" in out.getvalue()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"run": None}, "the master's plugin recorded no run"),
        ({"run": {"run_id": "20261122T150405Z-ab12"}}, "the master's plugin recorded no run"),  # one from before
        (
            {"run": None, "record_error": "No space left on device"},
            "; the master could not write it: No space left on device",
        ),
    ],
)
def test_a_run_that_the_plugin_should_have_written_down_and_did_not_is_invalid(
    status: dict[str, Any], why: str, master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.status = status
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "RUN_TIME=0") == 4
    assert why in out.getvalue()
    reasons = {reason["kind"]: reason["text"] for reason in report(tmp_path)["judged"]["reasons"]}
    assert why in reasons["not_recorded"]


def test_a_run_carries_the_plugins_id_and_its_own_without_one(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.status = {"run": {"run_id": "20261122T150405Z-ab12"}}
    master.on_swarm = running(figures("stopped", 40))
    start(master, tmp_path, say, "RUN_TIME=0", "ATTACH=0")
    first = report(tmp_path)["run_id"]
    assert first != "20261122T150405Z-ab12", "that was the run before this one"
    assert len(first) == len("20261122T150405Z-ab12")


def test_a_run_that_is_going_is_refused_and_left_alone(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.figures = [figures("running", 5)]
    with pytest.raises(StackError, match=r"another run is already active.*ATTACH=1"):
        start(master, tmp_path, say)
    assert master.posts == []
    assert not (tmp_path / "reports").exists()


def test_attach_follows_a_run_without_starting_one(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.figures = running(figures("running", 9), figures("stopped", 40))
    assert start(master, tmp_path, say, "ATTACH=1") == 0
    assert master.posts == []
    assert report(tmp_path)["settings"]["attached"] is True


def test_no_master_is_told_with_the_way_to_get_one(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.close()
    with pytest.raises(StackError, match=r"no Locust master answers.*make up"):
        start(master, tmp_path, say)


def test_no_worker_is_refused(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.worker_count = 0
    with pytest.raises(StackError, match=r"no worker is registered"):
        start(master, tmp_path, say)


def test_a_worker_younger_than_the_masters_cached_figures_counts(
    master: FakeMaster, tmp_path: Path, say: Console
) -> None:
    master.figures = [figures("ready", workers={})]
    master.on_swarm = running(figures("stopped", 40))
    assert start(master, tmp_path, say, "RUN_TIME=0") == 0


def test_what_locust_refuses_is_passed_on(master: FakeMaster, tmp_path: Path, say: Console) -> None:
    master.swarm = {"success": False, "message": "Missing or invalid user_count"}
    with pytest.raises(StackError, match=r"Locust did not start the run: Missing or invalid user_count"):
        start(master, tmp_path, say)


def test_an_older_file_in_the_workers_is_said(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO
) -> None:
    master.status = {
        "run": None,
        "locustfile": {"sha256": "x", "changed_on_disk": ["a.py"]},
        "workers": {"w1": {"changed_on_disk": ["a.py"]}},
    }
    master.on_swarm = running(figures("stopped", 40))
    start(master, tmp_path, say, "RUN_TIME=0")
    assert "the file on disk is newer than in 2 of the stack's processes: a.py → make reload" in out.getvalue()


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_an_interrupt_stops_the_run_and_still_saves_and_sums_up(
    master: FakeMaster, tmp_path: Path, number: signal.Signals, name: str
) -> None:
    master.on_swarm = [figures("running", 5, users=2)]
    master.on_stop = [figures("stopped", 12)]
    words = [f"WEB_PORT={master.port}", "PROJECT=none", f"REPORTS_DIR={tmp_path}", "RUN_TIME=60", "MONITOR_PORT=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar.cli", "run", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], **NO_DOCKER},
    )
    assert process.stdout is not None
    seen = ""
    while "2 users" not in seen:
        seen = process.stdout.readline()
        assert seen, "the run ended too early"
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 4
    assert rest.splitlines()[-1] == "INVALID (exit 4)"
    assert f"stopped by {name}" in rest
    assert ("Ctrl-C" in rest) == (name == "Ctrl-C")
    assert [path.partition("%20")[0] for path, _ in master.posts] == ["/swarm", f"/stop?kit_stopped_by={name}"]
    (path,) = tmp_path.glob("*/report.json")
    assert json.loads(path.read_text())["figures"]["requests"] == 12


def test_an_interrupt_while_the_run_starts_stops_it(
    master: FakeMaster, tmp_path: Path, say: Console, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = LocustApi.swarm

    def interrupted(web: LocustApi, form: Sequence[tuple[str, str]]) -> Any:
        swarm(web, form)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocustApi, "swarm", interrupted)
    master.on_swarm = [figures("running", 5, users=2)]
    master.on_stop = [figures("stopped", 12)]
    assert start(master, tmp_path, say, "RUN_TIME=60") == 4
    assert [path.partition("?")[0] for path, _ in master.posts] == ["/swarm", "/stop"]
    assert "stopped by Ctrl-C after " in out.getvalue()
