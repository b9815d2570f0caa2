"""The word, its exit code, and the reasons in their order."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.model.run_record import RunRecord
from sidecar.report.verdict.judge import judge, last_line
from tests.fakes.run_scene import after, altered, clean

LOST = "1 worker went missing during the run"


def run(requests: int, failures: int, *, lost: bool = False, raised: str = "", **words: Any) -> RunRecord:
    """A run with these figures, judged by these words."""
    return clean(
        begin={**clean().begin, "judge": words},
        end={"requests": requests, "failures": failures, "most_users": 50},
        moments=altered(20, 61, missing=("w-1",)) if lost else clean().moments,
        groups={"groups": [{"class": "task_error", "message": raised, "count": 3}]} if raised else {},
    )


@pytest.mark.parametrize(
    ("record", "word", "code"),
    [
        (run(100, 0), "PASS", 0),
        (run(100, 1), "FAIL", 1),
        (run(100, 1, fail_ratio_limit=0.01), "PASS", 0),
        (run(100, 2, fail_ratio_limit=0.01), "FAIL", 1),
        (run(100, 100, fail_ratio_limit=1.0), "PASS", 0),
        (run(0, 0), "INVALID", 4),
        (run(100, 0, lost=True), "INVALID", 4),
        (run(100, 100, lost=True), "INVALID", 4),
        (run(100, 0, lost=True, on_invalid="warn"), "INVALID", 0),
        (run(100, 100, lost=True, on_invalid="warn"), "INVALID", 1),
    ],
)
def test_the_word_and_its_code(record: RunRecord, word: str, code: int) -> None:
    verdict = judge(record)
    assert (verdict.word, verdict.exit_code) == (word, code)


def test_what_broke_comes_before_what_failed() -> None:
    verdict = judge(run(200, 5, lost=True, fail_ratio_limit=0.01))
    assert verdict.reasons == (LOST, "2.50% of 200 requests failed, the limit is 1.00%")
    assert [(reason.kind, reason.text) for reason in verdict.broken] == [("worker_lost", LOST)]
    assert judge(run(0, 0, lost=True, raised="no cart")).reasons == (
        LOST,
        "no request was made; the users' code raised 3 × no cart",
    )


BY_QUIT = {"call": "runner.quit()", "where": "shop.py:12"}


@pytest.mark.parametrize(
    ("failures", "run_time", "ended_by", "word", "code", "said"),
    [
        (9, 60, BY_QUIT, "FAIL", 1, "ended by the locustfile: runner.quit() after 30 s of 60 s (shop.py:12)"),
        (0, 60, BY_QUIT, "INVALID", 4, "ended by the locustfile: runner.quit() after 30 s of 60 s (shop.py:12)"),
        (0, 0, BY_QUIT, "PASS", 0, "ended by the locustfile: runner.quit() after 30 s (shop.py:12)"),
        (0, 60, {"call": "sys.exit(3)", "where": ""}, "INVALID", 4,
         "ended by the locustfile: sys.exit(3) after 30 s of 60 s"),
        (9, 60, None, "INVALID", 4, "stopped after 30 s of 60 s"),
    ],
)  # fmt: skip
def test_a_run_that_the_locustfile_ended(
    failures: int, run_time: int, ended_by: dict[str, str] | None, word: str, code: int, said: str
) -> None:
    record = clean(
        begin={**clean().begin, "plan": {**clean().plan, "run_time_seconds": run_time}},
        end={"requests": 100, "failures": failures, "most_users": 50, "ended_by": ended_by},
        ended_at=after(30),
        moments=clean().moments[:31],
    )
    verdict = judge(record)
    assert (verdict.word, verdict.exit_code) == (word, code)
    assert said in verdict.reasons


def test_the_last_line_says_why_an_invalid_run_exits_otherwise() -> None:
    assert last_line("PASS", 0) == "PASS (exit 0)"
    assert last_line("INVALID", 4) == "INVALID (exit 4)"
    assert last_line("INVALID", 1) == "INVALID (exit 1, ON_INVALID=warn)"
