"""The figures of real runs: names without end, an outage at the end, users that say goodbye."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stacks import USERS_FILES, Stack, docker, log_of, until
from tests.integration.verdicts import Judged

COUNTS = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/_mock/counts').read().decode())"


class LoadEnd(Judged):
    """A stack of two workers with users of these kinds."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        super().__init__(stack, folder)
        shutil.copy(USERS_FILES / "load_end" / "locustfile.py", folder)

    def asked(self, path: str) -> int:
        """How often the target was asked for a path."""
        (target,) = self.stack.containers("mock-target")
        return int(json.loads(docker("exec", target, "python3", "-c", COUNTS))["paths"].get(path, 0))

    def files(self, report: dict[str, Any]) -> dict[str, str]:
        """The texts of a run's report."""
        folder = self.stack.reports / report["run_id"]
        return {name: (folder / name).read_text() for name in ("report.md", "report.html", "junit.xml")}


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> LoadEnd:
    made = LoadEnd(stack, tmp_path_factory.mktemp("locustfiles"))
    stack.up("WORKERS=2")
    return made


@pytest.fixture(autouse=True)
def plain_users(shop: LoadEnd) -> Iterator[None]:
    yield
    shop.be()


def test_names_without_end_are_judged_over_all_requests(shop: LoadEnd) -> None:
    shop.be(names=2500)
    code, report = shop.run("THRESHOLDS=fail_ratio<1% rps>1")
    assert (code, report["verdict"]) == (3, "FAIL")
    assert any(text.startswith("fail_ratio 4") for text in report["reasons"])
    others = [row for row in report["endpoints"] if row["name"] == "(others)"]
    assert report["endpoints_left_out"] == sum(row["names"] for row in others) > 2500
    for figure in ("requests", "failures"):
        assert sum(row[figure] for row in report["endpoints"]) == report["figures"][figure]
    assert report["figures"]["failures"] == 2500
    said, judged = shop.told("THRESHOLDS=fail_ratio{name=/bad/0/none}<1% fail_ratio{method=GET}<60% p95<1s")
    assert [row["is_known"] for row in judged["judged"]["thresholds"]] == [False, True, True]
    assert judged["verdict"] == "INVALID"
    assert f"names without a row of their own: {report['endpoints_left_out']:,} of " in said


def test_an_outage_of_the_last_seconds_is_said_and_fails_where_it_is_not_allowed(shop: LoadEnd) -> None:
    shop.be(fails_after=13)
    code, report = shop.run("FAIL_RATIO=60%", "RUN_TIME=16s")
    assert (code, report["verdict"]) == (0, "PASS")
    (said,) = [text for text in report["reasons"] if text.startswith("all ")]
    assert f"all {report['figures']['failures']} failures came in the last " in said
    assert "% of the requests in that time failed" in said
    for text in shop.files(report).values():
        assert f"all {report['figures']['failures']} failures came in the last" in text
    for words, exit_code, reason in (
        (("FAIL_RATIO=60%", "THRESHOLDS=fail_ratio{last=3s}<1%"), 3, "fail_ratio "),
        (("FAIL_RATIO=45%", "OUTAGE_RATIO=20%"), 1, "outage: "),
    ):
        _, judged = shop.told(*words)
        assert (judged["verdict"], judged["exit_code"]) == ("FAIL", exit_code), judged["reasons"]
        assert any(text.startswith(reason) for text in judged["reasons"])


def test_a_long_goodbye_and_a_worker_that_is_scaled_away_leave_a_run_whole(shop: LoadEnd) -> None:
    before = shop.asked("/echo/logout")
    shop.be(goodbye="/echo/logout", seconds=5, upload=2)
    run = shop.stack.start_run("USERS=6", "SPAWN_RATE=6", "RUN_TIME=40s")
    until(lambda: shop.stack.web("/stats/requests")["user_count"] == 6, 20, "all users")
    assert shop.stack.kit("scale", "WORKERS=1").returncode == 0
    printed, _ = run.communicate(timeout=240)
    report = shop.stack.report(shop.stack.newest_run())
    after = report["after_the_end"]
    assert (report["verdict"], run.returncode) == ("PASS", 0), report["reasons"]
    assert after["requests"] == shop.asked("/echo/logout") - before > 6
    assert (after["failures"], after["users_cut_off"]) == (0, 0)
    assert report["duration_seconds"] == pytest.approx(40, abs=2)
    assert {row["name"] for row in report["endpoints"]} == {"/front"}
    rate = report["figures"]["requests"] / report["duration_seconds"]
    assert report["figures"]["requests_per_second"] == pytest.approx(rate, rel=0.02)
    assert "after the end: POST /logout" in printed
    assert "stopping: " in printed
    assert {"unhealthy", "worker_lost", "restart"} & {one["kind"] for one in report["incidents"]} == set()
    (master,) = shop.stack.containers("locust-master")
    assert "uploaded" in log_of(master)
    assert shop.stack.kit("scale", "WORKERS=2").returncode == 0


def test_ctrl_c_is_judged_by_the_end_of_the_load_and_a_failed_goodbye_is_said(shop: LoadEnd) -> None:
    until(lambda: shop.stack.worker_count() == 2, 60, "both workers")
    shop.be(goodbye="/status/500", seconds=15)
    run = shop.stack.start_run("USERS=6", "SPAWN_RATE=6", "RUN_TIME=90s")
    until(lambda: shop.stack.web("/stats/requests")["stats"][-1]["num_requests"] > 0, 20, "the first figures")
    run.send_signal(signal.SIGINT)
    until(lambda: shop.stack.web("/locust-kit/status")["state"] != "running", 20, "the stop")
    next_run = shop.stack.kit("run", "USERS=2", "RUN_TIME=5s")
    printed, _ = run.communicate(timeout=240)
    assert run.returncode == 4, printed
    (reason,) = [line for line in printed.splitlines() if line.startswith("stopped by Ctrl-C after ")]
    assert reason.endswith(" s of 90 s")
    reports = [json.loads(path.read_text()) for path in shop.stack.reports.glob("*/report.json")]
    (report,) = [found for found in reports if reason in found["reasons"]]
    assert (report["after_the_end"]["requests"], report["after_the_end"]["failures"]) == (6, 6)
    assert (report["figures"]["failures"], report["failure_classes"]) == (0, {})
    assert any(text.startswith("after the end: 6 requests, 6 failed (6 × POST /logout") for text in report["reasons"])
    assert reason in shop.stack.report(report["run_id"])["reasons"]
    assert all(reason in text for text in shop.files(report).values())
    assert "the last run is still stopping, waiting for it (" in next_run.stdout


def test_the_rate_of_requests_that_never_end_is_over_the_time_of_the_run(shop: LoadEnd) -> None:
    shop.be(hangs=True)
    code, report = shop.run("THRESHOLDS=rps>5", "FAIL_RATIO=100%")
    assert code != 0
    figures = report["figures"]
    assert figures["requests_per_second"] == pytest.approx(figures["requests"] / report["duration_seconds"], rel=0.02)
    assert figures["requests_per_second"] < 2
    assert any(text.startswith("rps 0.") for text in report["reasons"]) or report["verdict"] == "INVALID"
