"""The word, its exit code, and the reasons in their order."""

from __future__ import annotations

import pytest

from sidecar.report.verdict.decision import Facts, InvalidReason, decide, last_line

LOST = (InvalidReason("worker_lost", "1 worker went missing during the run"),)


@pytest.mark.parametrize(
    ("facts", "word", "code"),
    [
        (Facts(100, 0), "PASS", 0),
        (Facts(100, 1), "FAIL", 1),
        (Facts(100, 1, fail_ratio_limit=0.01), "PASS", 0),
        (Facts(100, 2, fail_ratio_limit=0.01), "FAIL", 1),
        (Facts(100, 100, fail_ratio_limit=1.0), "PASS", 0),
        (Facts(0, 0), "INVALID", 4),
        (Facts(100, 0, reasons=LOST), "INVALID", 4),
        (Facts(100, 100, reasons=LOST), "INVALID", 4),
        (Facts(100, 0, reasons=LOST, is_fatal=False), "INVALID", 0),
        (Facts(100, 100, reasons=LOST, is_fatal=False), "INVALID", 1),
    ],
)
def test_the_word_and_its_code(facts: Facts, word: str, code: int) -> None:
    verdict = decide(facts)
    assert (verdict.word, verdict.exit_code) == (word, code)


def test_what_broke_comes_before_what_failed() -> None:
    verdict = decide(Facts(200, 5, 0.01, reasons=LOST))
    assert verdict.reasons == (LOST[0].text, "2.50% of 200 requests failed, the limit is 1.00%")
    assert verdict.broken == LOST
    assert decide(Facts(0, 0, reasons=LOST, exception="3 × no cart")).reasons == (
        LOST[0].text,
        "not one request was made; the users' code raised 3 × no cart",
    )


def test_the_last_line_says_why_an_invalid_run_exits_otherwise() -> None:
    assert last_line("PASS", 0) == "PASS (exit 0)"
    assert last_line("INVALID", 4) == "INVALID (exit 4)"
    assert last_line("INVALID", 1) == "INVALID (exit 1, ON_INVALID=warn)"
