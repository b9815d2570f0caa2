"""Each request of both clients from its call to its report, in a real Locust, against what the target counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.process.mock_target._talk import started
from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_requests.py")
EXPECTED: dict[str, dict[str, int]] = {  # of three times by each of the two clients
    "good": {"reported": 24},
    "without_with": {"unreported": 6},
    "held": {"unreported": 6},
    "some_without_with": {"reported": 6, "unreported": 6},
    "later": {"reported": 12},
    "left": {"left": 6},
    "redirected": {"reported": 18, "redirects": 18 + 2 * 3 * 30},
    "closed": {"reported": 6, "resent": 3 * 11},
    "gives_up": {"given_up": 3, "reported": 3},
    "ends_its_user": {"reported": 2},
    "hangs": {"cut": 2},
}
NOT_SENT = {"impossible": {"raised": 6}}
COUNTS = ("reported", "held", "in_flight", "cut", "given_up", "unreported", "left", "redirects", "retries", "resent")


@pytest.fixture(scope="module")
def seen() -> Any:
    with started() as target:
        address = f"http://127.0.0.1:{target.http_port}"
        return printed(PROGRAM, address, *EXPECTED, *NOT_SENT, LOCUST_SKIP_MONKEY_PATCH="")


def counts(account: dict[str, Any]) -> dict[str, int]:
    return {name: account[name] for name in (*COUNTS, "raised") if account[name]}


@pytest.mark.parametrize("step", [*EXPECTED, *NOT_SENT])
def test_what_was_sent_is_what_the_target_counted(seen: Any, step: str) -> None:
    found = seen[step]
    assert counts(found["end"]) == {**EXPECTED, **NOT_SENT}[step]
    assert found["reported"] == found["end"]["reported"]
    assert found["target"] == sum(found["end"][name] for name in COUNTS)


def test_what_is_on_its_way_is_known_by_name_and_age(seen: Any) -> None:
    during = seen["hangs"]["during"]
    (row,) = during["endpoints"]
    assert (row["method"], row["name"], row["in_flight"], during["in_flight"]) == ("POST", "hangs", 2, 2)
    assert sum(count for _, count in row["waiting"]) == 2


def test_unreported_answers_are_known_at_once_by_their_line(seen: Any) -> None:
    for step in ("without_with", "held"):
        during = seen[step]["during"]
        assert during["unreported"] == 6
        (site,) = during["sites"]
        assert site["count"] == 6
        assert site["place"].startswith("tests/process/plugin/real_requests.py:")


def test_redirects_are_counted_by_name(seen: Any) -> None:
    rows = {row["name"]: row["redirects"] for row in seen["redirected"]["end"]["endpoints"]}
    assert rows == {"redirected": 18, "loop": 180}
