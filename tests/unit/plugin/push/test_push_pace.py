"""How long is waited: full jitter between tries, and what a receiver may ask for."""

from __future__ import annotations

import pytest
from locust_kit.push.pace import RetryPace

from tests.unit.plugin.push.pushing import NOW

PACE = RetryPace()


@pytest.mark.parametrize(("failures", "bound"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10_000, 60)])
def test_the_bound_of_a_pause_doubles_up_to_a_minute(failures: int, bound: float) -> None:
    assert PACE.backoff(failures, lambda: 1.0) == bound


def test_a_pause_is_anything_up_to_its_bound() -> None:
    assert [PACE.backoff(4, lambda chance=chance: chance) for chance in (0.0, 0.25, 1.0)] == [0, 2, 8]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 0),
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("86400", 300),
        ("9" * 400, 300),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0),
        ("Sat, 16 Jan 2027 08:00:00 GMT", 300),
        ("Fri, 15 Jan 2027 08:00:30", 30),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_five_minutes(said: str, seconds: float) -> None:
    assert PACE.asked(said, NOW) == seconds
