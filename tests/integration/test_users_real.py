"""Runs whose users lack, raise, finish or are late, on a real stack: each is judged by what its users did."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.integration.stacks import Stack, docker, until
from tests.integration.verdicts import Judged

USERS = 6


@pytest.fixture(scope="module")
def judged(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    made = Judged(stack, tmp_path_factory.mktemp("locustfiles"), "users")
    stack.up("WORKERS=2")
    return made


def ran(judged: Judged, *words: str, **mode: Any) -> tuple[int, Any]:
    judged.be(**mode)
    return judged.run(*words)


def end(judged: Judged, report: Any) -> Any:
    (master,) = judged.stack.containers("locust-master")
    return json.loads(docker("exec", master, "cat", f"/var/lib/locust-kit/runs/{report['run_id']}/end.json"))


def test_exceptions_in_every_task_run_fail_a_run_that_failed_no_request(judged: Judged) -> None:
    code, report = ran(judged, raises=True)
    assert (code, report["verdict"]) == (1, "FAIL"), report["reasons"]
    errors = report["figures"]["task_errors"]
    assert errors == report["figures"]["requests"] > 0
    assert report["reasons"][0].startswith(
        f"{errors} of {errors} runs of Buyer.buy raised KeyError: 'in_stock' (locust"
    )
    assert report["tasks"] == [{"name": "Buyer.buy", "runs": errors, "errors": errors}]
    folder = judged.stack.reports / report["run_id"]
    assert "runs of Buyer.buy raised KeyError" in (folder / "junit.xml").read_text()
    assert "runs of Buyer.buy raised KeyError" in (folder / "report.md").read_text()
    assert "runs of Buyer.buy raised KeyError" in (folder / "report.html").read_text()
    code, report = ran(judged, "TASK_ERROR_RATIO=100%", raises=True)
    assert (code, report["verdict"]) == (0, "PASS"), report["reasons"]
    code, report = ran(judged, "THRESHOLDS=task_errors<5 task_error_ratio{name=Buyer.buy}<1%", raises=True)
    assert (code, report["verdict"]) == (3, "FAIL"), report["reasons"]


def test_users_that_end_in_on_start_are_missed_and_their_exception_is_named(judged: Judged) -> None:
    code, report = ran(judged, on_start="raises")
    assert (code, report["judged"]["reasons"][0]["kind"]) == (4, "users_short"), report["reasons"]
    assert report["reasons"][0].startswith("no user was running for ")
    cause = f"; {USERS} of {USERS} users ended in on_start: Buyer.on_start raised KeyError: 'token' (locustfile.py:"
    assert cause in report["reasons"][0]
    (users,) = report["users"]
    assert (users["made"], users["died"]) == (USERS, USERS)


def test_users_that_cannot_be_made_are_missed_and_their_exception_is_named(judged: Judged) -> None:
    code, report = ran(judged, accounts=2)
    assert (code, report["verdict"]) == (4, "INVALID"), report["reasons"]
    assert report["reasons"][0].startswith(f"only 4 of {USERS} users were running")
    assert "Buyer.__init__ raised IndexError: pop from empty list (locustfile.py:" in report["reasons"][0]
    assert report["reasons"][0].endswith(": 2 users could not be made")
    document = end(judged, report)
    assert (document["most_users"], document["users_by_class"]) == (4, {"Buyer": 4})


def test_a_quit_in_a_task_leaves_no_user_and_is_named_with_its_line(judged: Judged) -> None:
    code, report = ran(judged, quits=True)
    assert (code, report["judged"]["reasons"][0]["kind"]) == (4, "users_short"), report["reasons"]
    assert report["reasons"][0].startswith("no user was running for ")
    assert "called runner.quit() (locustfile.py:" in report["reasons"][0]


def test_users_that_finish_are_not_missed_and_are_counted(judged: Judged) -> None:
    code, report = ran(judged, finishes=True)
    assert (code, report["verdict"]) == (0, "PASS"), report["reasons"]
    assert f"{USERS} users finished (StopUser)" in report["reasons"]
    assert report["figures"]["requests"] == USERS


@pytest.mark.long
def test_a_rate_that_a_slow_target_does_not_let_be_kept_is_invalid_and_one_that_was_kept_is_not(judged: Judged) -> None:
    code, report = ran(judged, rate=2, slow_ms=1200)
    assert (code, report["judged"]["reasons"][0]["kind"]) == (4, "rate_short"), report["reasons"]
    assert report["reasons"][0].startswith("Buyer began ")
    assert report["rates"][0]["rate_kept"] < 0.6
    code, report = ran(judged, rate=2, slow_ms=10)
    assert (code, report["verdict"]) == (0, "PASS"), report["reasons"]
    assert report["rates"][0]["rate_kept"] > 0.9


@pytest.mark.long
def test_workers_that_joined_after_the_master_dealt_its_data_are_named(judged: Judged) -> None:
    judged.be(dealt=True)
    run_id = judged.start_by_web(users=8, rate=8, seconds=60)
    until(lambda: judged.stack.report(run_id)["figures"]["requests"] > 0, 30, "the first figures")
    judged.stack.kit("scale", "WORKERS=4")
    report = judged.stack.ended(run_id, 120)
    judged.stack.kit("scale", "WORKERS=2")
    assert report["verdict"] == "FAIL", report["reasons"]
    # Locust gives no users to a worker that joins while others are handed out.
    text = r"[12] of [34] workers made no request after they joined: IndexError in Buyer\.buy"
    assert re.fullmatch(text, report["reasons"][0]), report["reasons"]
