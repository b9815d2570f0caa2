"""Verdict and report of real runs, however they were started and whatever was killed."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import pytest

from tests.integration.stacks import USERS_FILES, Stack, docker, until
from tests.integration.verdicts import Judged

pytestmark = pytest.mark.kills


@pytest.fixture(scope="module")
def judged(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    made = Judged(stack, tmp_path_factory.mktemp("locustfiles"))
    stack.up("WORKERS=2")
    return made


def test_a_run_of_the_web_page_is_judged_by_itself_and_its_page_is_served(judged: Judged) -> None:
    run_id = judged.start_by_web(seconds=8)
    report = judged.stack.ended(run_id)
    assert (report["verdict"], report["state"], report["workers"]["at_start"]) == ("PASS", "ended", 2)
    assert not [warning for warning in report["warnings"] if "blocked" in warning]
    assert report["reasons"] == [f"0.00% of {report['figures']['requests']} requests failed, the limit is 0.00%"]
    until(lambda: (judged.stack.snapshot()["verdict"] or {}).get("reasons") == report["reasons"], 20, "the last word")
    with urllib.request.urlopen(f"http://127.0.0.1:{judged.stack.monitor_port}/runs/{run_id}", timeout=10) as page:
        assert run_id in page.read().decode()


def test_code_that_holds_the_loop_of_a_worker_is_named_with_its_line(judged: Judged) -> None:
    judged.be(blocks_ms=400)
    code, report = judged.run("RUN_TIME=18s")
    judged.be()
    assert (code, report["verdict"]) == (4, "INVALID")
    (reason,) = [reason for reason in report["judged"]["reasons"] if reason["kind"] == "generator_blocked"]
    line = 1 + (USERS_FILES / "verdict/locustfile.py").read_text().split("LIBC.usleep")[0].count("\n")
    assert f" ms at most, in locustfile.py:{line} buy → LIBC.usleep" in reason["text"]
    for name in ("report.md", "report.html", "junit.xml"):
        assert "LIBC.usleep" in (judged.stack.reports / report["run_id"] / name).read_text()


def test_what_answers_and_what_does_not_is_known_with_an_exit_code(judged: Judged) -> None:
    def health() -> tuple[int, dict[str, Any]]:
        done = judged.stack.kit("health", "--json")
        return done.returncode, {endpoint["name"]: endpoint for endpoint in json.loads(done.stdout)["endpoints"]}

    until(lambda: "target" in health()[1], 40, "the last run's target to be asked")
    code, found = health()
    assert (code, {name for name, one in found.items() if one["passed"]}) == (
        0,
        {"master", "statistics", "sidecar", "target"},
    )
    (target,) = judged.stack.containers("mock-target")
    docker("stop", "-t", "1", target)
    until(lambda: health()[0] == 1, 40, "the target to be missed")
    assert not health()[1]["target"]["passed"]
    assert "target" in judged.stack.kit("monitor", "ONCE=1").stdout
    docker("start", target)
    until(lambda: health()[0] == 0, 40, "the target to be back")


def test_a_worker_that_was_killed_for_memory_is_told_from_a_target_that_fails(judged: Judged) -> None:
    run_id = judged.start_by_web(seconds=16)
    until(lambda: judged.stack.report(run_id)["figures"]["requests"] > 0, 30, "the first figures")
    docker("exec", judged.stack.containers("locust-worker")[0], "python3", "-c", "b'x' * (900 << 20)", check=False)
    killed = judged.stack.ended(run_id)
    assert (killed["verdict"], killed["judged"]["reasons"][0]["kind"]) == ("INVALID", "oom_kill")
    assert killed["attribution"]["text"] == "No request failed."
    (incident,) = [incident for incident in killed["incidents"] if incident["breaks_the_run"]]
    assert incident["attribution"] == "no request failed"
    judged.be(cart="/status/503")
    code, failing = judged.run("FAIL_RATIO=10%", "THRESHOLDS=p95<1")
    judged.be()
    assert (code, failing["verdict"]) == (1, "FAIL")
    assert failing["attribution"]["text"].startswith("The workers and the master were fine: ")
    outage, threshold = failing["reasons"][1:]
    assert outage.startswith("outage: ")
    assert threshold.endswith("(limit p95<1)")
    assert failing["failure_classes"].keys() == {"server_error"}
    names = {path.name for path in (judged.stack.reports / failing["run_id"]).iterdir()}
    assert names >= {
        "report.html", "report.md", "report.json", "junit.xml", "failure_timeline.png", "failure_types.png",
        "failure_endpoints.png", "failure_analysis_report.txt", "failure_analysis.csv", "locust_report.html",
    }  # fmt: skip


@pytest.mark.long  # it compares the times of two runs, and needs the machine to itself
def test_a_target_that_became_slower_by_a_third_is_named_and_nothing_else(judged: Judged) -> None:
    for pay_ms in (60, 60, 78):
        judged.be(pay_ms=pay_ms, cart="/slow?ms=60")  # 2 ms of a busy machine are no change of such a time
        code, report = judged.run("USERS=15", "SPAWN_RATE=15")
        assert (code, report["verdict"]) == (0, "PASS"), report["reasons"]
        if pay_ms == 60:
            first = locals().get("first") or report
            same = judged.told(f"BASELINE={first['run_id']}")[1]["comparison"]
            assert same["changes"] == []
            assert same["same"] == 2
    judged.be()
    text, slower = judged.told(f"BASELINE={first['run_id']}")
    changes = slower["comparison"]["changes"]
    assert {(change["name"], change["is_worse"]) for change in changes} == {("/pay", True)}
    median = next(change for change in changes if change["figure"] == "median")
    assert 60 <= median["before"] < median["after"]  # how much a busy machine adds is no matter
    assert all(f"  {change['text']}" in text for change in changes)


def test_after_everything_was_killed_the_report_is_made_of_what_is_on_the_disk(judged: Judged) -> None:
    run_id = judged.start_by_web(seconds=60)
    until(lambda: judged.stack.report(run_id)["figures"]["requests"] > 30, 40, "figures of the run on the disk")
    assert judged.told()[0].splitlines()[-1] == "PASS so far"
    docker(
        "kill",
        *(
            container
            for name in ("locust-master", "locust-worker", "monitor")
            for container in judged.stack.containers(name)
        ),
    )
    text, report = judged.told()
    assert (report["run_id"], report["verdict"], report["state"]) == (run_id, "INVALID", "broke off")
    assert report["figures"]["requests"] > 30
    assert report["timeline"]["users"]
    assert text.splitlines()[-1] == "INVALID (exit 4)"
    folder = judged.stack.reports / run_id
    assert folder.stat().st_uid == os.getuid()
    assert run_id in (folder / "report.html").read_text()
    listed = judged.stack.kit("report").stdout
    assert run_id in listed
    judged.stack.up("WORKERS=2")
    again = judged.stack.report(run_id)
    assert (again["verdict"], again["figures"]) == ("INVALID", report["figures"])
