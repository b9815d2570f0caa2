"""What each answer means for a batch."""

from __future__ import annotations

import pytest
from locust_kit.push.answers import Answer, Verdict


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((200, 201, 202, 204, 299, 409), Verdict.TAKEN),
        ((408, 429, 500, 502, 503, 504, 599), Verdict.AGAIN),
        ((301, 302, 303, 304, 307, 308, 401, 403), Verdict.KEPT),
        ((413,), Verdict.TOO_LARGE),
        ((400, 404, 405, 410, 415, 422), Verdict.REFUSED),
    ],
)
def test_a_status_decides(statuses: tuple[int, ...], verdict: Verdict) -> None:
    assert {Answer(status).verdict for status in statuses} == {verdict}


def test_an_answer_that_did_not_come_whole_is_asked_for_again() -> None:
    answer = Answer(broken="ConnectTimeout")
    assert (answer.verdict, answer.told) == (Verdict.AGAIN, "ConnectTimeout")
