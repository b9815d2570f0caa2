from __future__ import annotations

import pytest

from sidecar.drive.verdict import Facts, decide


@pytest.mark.parametrize(
    ("facts", "word", "code"),
    [
        (Facts(100, 0), "PASS", 0),
        (Facts(100, 1), "FAIL", 1),
        (Facts(100, 1, fail_ratio_limit=0.01), "PASS", 0),
        (Facts(100, 2, fail_ratio_limit=0.01), "FAIL", 1),
        (Facts(100, 100, fail_ratio_limit=1.0), "PASS", 0),
        (Facts(0, 0), "INVALID", 4),
        (Facts(100, 0, workers_lost=1), "INVALID", 4),
        (Facts(100, 100, workers_lost=1), "INVALID", 4),
        (Facts(100, 0, master_lost="the master was lost"), "INVALID", 4),
        (Facts(100, 0, ended_early="stopped by Ctrl-C"), "INVALID", 4),
    ],
)
def test_the_word_and_its_code(facts: Facts, word: str, code: int) -> None:
    verdict = decide(facts)
    assert (verdict.word, verdict.exit_code) == (word, code)
    assert verdict.last_line == f"{word} (exit {code})"


def test_everything_that_broke_is_named() -> None:
    reasons = decide(Facts(0, 0, workers_lost=2, master_lost="no master", ended_early="stopped")).reasons
    assert reasons == ("no master", "2 workers went missing during the run", "stopped", "not one request was made")


def test_a_failed_run_names_value_and_limit() -> None:
    assert decide(Facts(200, 5, 0.01)).reasons == ("2.50% of 200 requests failed, the limit is 1.00%",)
