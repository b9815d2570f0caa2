"""What each answer means for a batch."""

from __future__ import annotations

import pytest
from locust_kit.push.post import BatchFate, PushAnswer


@pytest.mark.parametrize(
    ("statuses", "fate"),
    [
        ((200, 201, 202, 204, 299, 409), BatchFate.TAKEN),
        ((408, 429, 500, 502, 503, 504, 599), BatchFate.AGAIN),
        ((301, 302, 303, 304, 307, 308, 401, 403), BatchFate.KEPT),
        ((413,), BatchFate.TOO_LARGE),
        ((400, 404, 405, 410, 415, 422), BatchFate.REFUSED),
    ],
)
def test_a_status_decides(statuses: tuple[int, ...], fate: BatchFate) -> None:
    assert {PushAnswer(status).fate for status in statuses} == {fate}


def test_an_answer_that_did_not_come_whole_is_asked_for_again() -> None:
    answer = PushAnswer(broken="ConnectTimeout")
    assert (answer.fate, answer.text) == (BatchFate.AGAIN, "ConnectTimeout")
