"""What a client of the test's own reports of a request is counted by Locust, and by the plugin alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from locust import User
from locust.env import Environment
from locust.event import Events
from locust.exception import StopUser
from locust.rpc.protocol import Message
from locust_kit.clean_request import CLEANED, LONGEST_ERROR, MOST_BYTES
from locust_kit.failures.collection import Collection
from locust_kit.failures.counters import PERFORMANCE_KEY, RequestCounters
from locust_kit.report_check import check

HALF = "/title/half \ud83d"


class Unspeakable(Exception):  # noqa: N818
    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __bool__(self) -> bool:
        raise ZeroDivisionError


class Numberlike(float):
    """What a library of numbers makes."""


@pytest.fixture
def counted() -> Iterator[tuple[Environment, RequestCounters]]:
    CLEANED.clear()
    environment = Environment(user_classes=[type("Odd", (User,), {})], events=Events())
    environment.create_local_runner()
    counters = RequestCounters()
    counters.listen(environment)
    yield environment, counters
    CLEANED.clear()


def fire(environment: Environment, **changed: Any) -> None:
    usual = {"request_type": "RPC", "name": "call", "response_time": 5.0, "response_length": 2, "exception": None}
    environment.events.request.fire(**{**usual, "context": {}, **changed})


CHANGES: list[dict[str, Any]] = [
    {"name": HALF}, {"request_type": HALF}, {"name": None}, {"name": 7}, {"name": object()}, {"name": "n" * 10**6},
    {"name": "a\0b"}, {"request_type": None}, {"name": "покупка"}, {"name": b"\xff"},
    {"response_length": None}, {"response_length": math.nan}, {"response_length": -1}, {"response_length": "12"},
    {"response_length": 10**40}, {"response_length": math.inf}, {"response_length": [1]}, {"response_length": 2.5},
    {"response_time": None}, {"response_time": math.nan}, {"response_time": math.inf}, {"response_time": -math.inf},
    {"response_time": -5}, {"response_time": "12"}, {"response_time": "soon"}, {"response_time": 1e308},
    {"response_time": 10**400}, {"response_time": Decimal("1.5")}, {"response_time": Numberlike(2.5)},
    {"response_time": True}, {"response_time": []},
]  # fmt: skip
ERRORS: list[Any] = [
    None, OSError("refused"), HALF, OSError(HALF), Unspeakable(), "x" * 10**6,
    type("Odd", (Exception,), {"__repr__": lambda _: HALF})(),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "changed", CHANGES, ids=lambda changed: f"{next(iter(changed))}={type(next(iter(changed.values()))).__name__}"
)
def test_each_request_counts_once_with_its_failure_and_can_be_sent(
    counted: tuple[Environment, RequestCounters], changed: dict[str, Any], error: Any
) -> None:
    environment, counters = counted
    fire(environment)
    fire(environment, **changed, exception=error)
    total = environment.stats.total
    failed = int(error is not None)
    assert (total.num_requests, total.num_failures) == (2, failed)
    assert sum(entry.num_requests for entry in environment.stats.entries.values()) == 2
    assert sum(row.occurrences for row in environment.stats.errors.values()) == failed
    assert 0 <= total.total_content_length <= MOST_BYTES + 2
    assert math.isfinite(total.total_response_time)
    assert math.isfinite(total.avg_response_time)
    assert (total.min_response_time or 0) >= 0
    report = counters.report()
    account = Collection()
    account.take("w", report)
    assert account.failures == failed
    assert (
        sum(sum(row[2].values()) + sum(row[4].values()) for row in report[PERFORMANCE_KEY])
        == 2 - total.num_none_requests
    )
    sent = {
        "stats": environment.stats.serialize_stats(),
        "errors": environment.stats.serialize_errors(),
        "stats_total": total.get_stripped_report(),
        "user_classes_count": {},
        "locust_kit": {"failures": report},
    }
    check(Message.unserialize(Message("stats", sent, "w").serialize()).data, total.start_time)


def test_a_request_that_leaves_arguments_out_is_counted(counted: tuple[Environment, RequestCounters]) -> None:
    environment, counters = counted
    environment.events.request.fire(request_type="TCP", name="few arguments", response_time=2)
    environment.events.request.fire(name="fewer", exception=OSError("no"))
    assert (environment.stats.total.num_requests, environment.stats.total.num_failures) == (2, 1)
    assert counters.report()["groups"][0][5] == 1


def test_what_is_cleaned_is_counted_by_kind_and_said_once(
    counted: tuple[Environment, RequestCounters], caplog: pytest.LogCaptureFixture
) -> None:
    environment, _ = counted
    for _ in range(3):
        fire(environment, name=HALF, response_time=math.nan, response_length=None)
    fire(environment, name="покупка", response_time=None, response_length=2.0)
    assert CLEANED == {"name": 3, "time": 3, "length": 3}
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("error", ["x" * 10**6, OSError("x" * 10**6)])
def test_an_error_is_sent_at_a_bounded_length(counted: tuple[Environment, RequestCounters], error: Any) -> None:
    environment, _ = counted
    fire(environment, exception=error)
    (row,) = environment.stats.serialize_errors().values()
    assert len(row["error"]) == LONGEST_ERROR
    assert not CLEANED  # a cut text is counted as it should be


def test_a_listener_of_the_test_that_ends_its_user_hides_no_request() -> None:
    environment = Environment(user_classes=[type("Odd", (User,), {})], events=Events())

    def end(**_: Any) -> None:
        raise StopUser

    environment.events.request.add_listener(end)
    environment.create_local_runner()
    counters = RequestCounters()
    counters.listen(environment)
    with pytest.raises(StopUser):
        fire(environment, exception=OSError("no"))
    assert (environment.stats.total.num_requests, environment.stats.total.num_failures) == (1, 1)
    assert counters.report()["groups"][0][5] == 1


def test_requests_count_once_where_locusts_own_listener_is_another(caplog: pytest.LogCaptureFixture) -> None:
    environment = Environment(user_classes=[type("Odd", (User,), {})], events=Events())
    environment.create_local_runner()
    environment.events.request._handlers[0].__qualname__ = "of another version"
    RequestCounters().listen(environment)
    fire(environment)
    assert environment.stats.total.num_requests == 1
    assert "are not cleaned" in caplog.text
