"""What a worker keeps of failures between two reports: exact counts, bounded rows, no secret."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from locust.exception import CatchResponseError
from locust_kit.failures import capture as capture_module
from locust_kit.failures.assertions import _failure
from locust_kit.failures.capture import MOST_CLEANED, MOST_GROUPS, Capture
from locust_kit.failures.classes import FailureClass
from locust_kit.failures.records import record_of
from locust_kit.failures.settings import CaptureSettings, Cleaner, Level
from locust_kit.texts import OTHERS


class Response:
    """The part of a response that is looked at."""

    def __init__(self, status: int = 500, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.url = "http://shop/cart"
        self.headers = headers or {}
        self._content = body


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def counter(clock: Clock | None = None, **settings: Any) -> Capture:
    return Capture(CaptureSettings(**settings), Cleaner({}, 1024), clock or Clock())


def fail(counted: Capture, text: str = "no stock", name: str = "/cart", **passed: Any) -> None:
    passed.setdefault("response", Response(200))
    counted.on_request("GET", name, 12.5, 4, exception=CatchResponseError(text), **passed)


def test_a_good_request_leaves_nothing() -> None:
    counted = counter()
    counted.on_request("GET", "/", 1.0, 2, exception=None, response=Response(200))
    assert counted.report() == {"groups": [], "examples": [], "rows": []}


def test_failures_are_counted_by_group_and_handed_out_once() -> None:
    counted = counter(clock := Clock())
    for number in range(5):
        clock.now = 1000.0 + number
        fail(counted, f"no stock for {number}")
    fail(counted, "gone", name="/pay")
    report = counted.report()
    assert report["groups"] == [
        ["GET", "/cart", FailureClass.ASSERTION, "200", "no stock for <n>", 5, 1000.0, 1004.0],
        ["GET", "/pay", FailureClass.ASSERTION, "200", "gone", 1, 1004.0, 1004.0],
    ]
    assert len(report["rows"]) == 6
    assert counted.report()["groups"] == []


def test_a_client_that_is_no_http_client_is_counted_too() -> None:
    counted = counter()
    counted.on_request("grpc", "Pay", None, None, exception=TimeoutError("deadline"))
    counted.on_request("mqtt", "pub", 1, 0, exception="a text in place of an exception")
    assert [row[2] for row in counted.report()["groups"]] == [FailureClass.READ_TIMEOUT, FailureClass.OTHER]


def test_rows_beyond_the_limit_are_a_sample_that_says_what_it_stands_for() -> None:
    random.seed(7)
    counted = counter(records_per_second=10)
    for _ in range(1010):
        fail(counted)
    rows = [record_of(row) for row in counted.report()["rows"]]
    assert len(rows) == 10 + capture_module.RESERVOIR
    assert sum(row.represents for row in rows) == pytest.approx(1010)


def test_the_limit_is_for_each_second() -> None:
    counted = counter(clock := Clock(), records_per_second=2)
    for second in range(3):
        clock.now = 1000.0 + second
        fail(counted)
        fail(counted)
    assert [record_of(row).represents for row in counted.report()["rows"]] == [1.0] * 6


def test_messages_names_and_methods_without_end_are_bounded_and_still_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "MOST_GROUPS", 10)
    counted = counter()
    for number in range(100):
        text = "".join(chr(97 + int(digit)) for digit in f"{number:03}")
        fail(counted, f"word {text}")
    for number in range(100):
        fail(counted, name=f"/{number}")
    for number in range(100):
        counted.on_request(f"M{number}", "/cart", 1.0, 0, exception=CatchResponseError("no"), response=Response(200))
    groups = counted.report()["groups"]
    assert sum(row[5] for row in groups) == 300
    assert len(groups) == 31
    by_call = {(row[0], row[1], row[4]): row[5] for row in groups}
    assert by_call["GET", "/cart", OTHERS] == 90
    assert by_call["GET", OTHERS, OTHERS] == 91
    assert by_call[OTHERS, OTHERS, OTHERS] == 91


@pytest.mark.parametrize(
    ("level", "groups", "examples", "rows"),
    [(Level.COUNTS, 1, 0, 0), (Level.GROUPS, 2, 0, 0), (Level.EXEMPLARS, 2, 2, 0), (Level.FULL, 2, 2, 2)],
)
def test_the_level_says_how_much_is_kept(level: Level, groups: int, examples: int, rows: int) -> None:
    counted = counter(level=level)
    fail(counted, "one")
    fail(counted, "two")
    report = counted.report()
    assert (len(report["groups"]), len(report["examples"]), len(report["rows"])) == (groups, examples, rows)


def test_the_frames_of_libraries_do_not_hide_the_line_of_the_users_code() -> None:
    counted = counter()
    fail(
        counted,
        "KeyError: 'price' at /opt/venv/lib/python3.13/site-packages/locust/user/users.py:316 in rest, ~/a.py:9 in buy",
    )
    fail(counted, "no module at /opt/venv/lib/python3.13/site-packages/shop")
    assert [row[4] for row in counted.report()["groups"]] == [
        "KeyError: 'price' at ~/a.py:9 in buy",
        "no module at /opt/venv/lib/python3.<n>/site-packages/shop",
    ]


@pytest.mark.parametrize("rate", [1000, 5], ids=["all rows kept", "few rows kept"])
def test_the_examples_of_a_group_are_the_first_and_the_latest_three(rate: int) -> None:
    counted = counter(records_per_second=rate)
    for number in range(200):
        fail(counted, f"order {number}", response=Response(503, f"body {number}".encode(), {"X-Number": str(number)}))
    first, *latest = [record_of(row[5]) for row in counted.report()["examples"]]
    numbers = [int(example.message.rpartition(" ")[2]) for example in latest]
    assert first.message == "order 0"
    assert len(numbers) == 3
    assert numbers == [199, 198, 197] or (rate < 200 and min(numbers) >= 176)  # each eighth at least
    for number, example in zip((0, *numbers), (first, *latest), strict=True):
        assert (example.body, example.headers["X-Number"]) == (f"body {number}", str(number))


def long_text() -> str:
    """Return a text of 600 characters that no other has, in words without a number."""
    return " ".join("".join(random.choices("abcdefgh", k=7)) for _ in range(75))  # noqa: S311


def page() -> bytes:
    return f"<html><p>{long_text()}</p><p>{long_text()}</p></html>".encode()


def test_texts_without_end_cost_a_report_only_so_much_and_every_failure_counts() -> None:
    clean = Cleaner({}, 1024)
    counted = Capture(CaptureSettings(), clean, clock := Clock())
    for number in range(2250):
        clock.now = 1000 + number / 750
        fail(counted, long_text(), f"/{number % 300}", response=Response(500, page()), url=f"http://shop/{number}")
    report = counted.report()
    most_of_a_record = 8000
    assert clean.spent < MOST_CLEANED + most_of_a_record
    assert sum(row[5] for row in report["groups"]) == 2250
    assert len(report["groups"]) <= 2 * MOST_GROUPS
    assert {"(others)"} < {row[4] for row in report["groups"]}
    assert 3 <= len(report["rows"]) < 300
    assert sum(record_of(row).represents for row in report["rows"]) == pytest.approx(2250)
    assert report["examples"]


def test_each_group_has_its_first_example_before_any_has_another() -> None:
    counted = counter()
    for _ in range(4):
        for group in range(60):
            fail(counted, "no stock", name=f"/{group}", response=Response(500, page()))
    names = [row[1] for row in counted.report()["examples"]]
    assert len(names) == len(set(names)) > 5  # so many texts as there is time for


def test_a_small_group_goes_into_others_before_a_large_one() -> None:
    counted = counter(clock := Clock())
    for number in range(400):
        clock.now += 1
        fail(counted, long_text(), name=f"/{number}")
    for _ in range(5):
        fail(counted, "no stock")
    report = counted.report()
    large, *small = report["groups"]
    assert (large[1], large[4], large[5]) == ("/cart", "no stock", 5)
    others = [row[5] for row in small if (row[1], row[4]) == (OTHERS, OTHERS)]
    assert len(others) == 1
    assert 50 < others[0] < 400
    assert sum(row[5] for row in small) == 400


def test_an_example_has_headers_the_first_of_the_body_and_the_context() -> None:
    counted = counter()
    response = Response(200, b"x" * 5000, {"Server": "shop", "Set-Cookie": "sid=planted-8a7b6c"})
    fail(counted, response=response, context={"cart": 7, "api_key": "planted-1f2e3d"})
    example = record_of(counted.report()["examples"][0][5])
    assert example.body == "x" * 1024
    assert example.headers == {"Server": "shop", "Set-Cookie": "***"}
    assert example.context == {"cart": "7", "api_key": "***"}


def test_no_secret_leaves_the_worker() -> None:
    counted = counter()
    secret = "planted-5e6f7a8b"  # noqa: S105
    fail(
        counted,
        f"refused: Authorization: Bearer {secret}",
        name=f"/pay?token={secret}",
        url=f"http://ann:{secret}@shop/pay?password={secret}",
        response=Response(
            200, f'{{"user": {{"password": "{secret}"}}}}'.encode(), {"Authorization": f"Basic {secret}"}
        ),
        context={"password": secret},
    )
    assert secret not in str(counted.report())


def test_an_exception_in_a_task_is_named_by_its_function() -> None:
    class Shopper:
        pass

    class Tasks:
        user = Shopper()

    counted = counter()

    def buy() -> None:
        raise KeyError("price")

    try:
        buy()
    except KeyError as error:
        counted.on_user_error(Tasks(), error, error.__traceback__)
    assert counted.report()["groups"][0][:4] == ["TASK", "Shopper.buy", FailureClass.TASK_ERROR, "KeyError"]


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, CaptureSettings()),
        ({"KIT_FAILURE_LEVEL": "groups", "KIT_FAILURE_RECORDS_PER_SECOND": "5"}, CaptureSettings(Level.GROUPS, 5)),
        ({"KIT_FAILURE_LEVEL": "loud", "KIT_FAILURE_RECORDS_PER_SECOND": "-1"}, CaptureSettings()),
    ],
)
def test_settings_come_from_the_environment(environ: dict[str, str], wanted: CaptureSettings) -> None:
    assert CaptureSettings.of(environ) == wanted


def raises(error: Exception) -> None:
    raise error


class Checked:
    _manual_result: CatchResponseError

    def failure(self, text: str) -> None:
        self._manual_result = CatchResponseError(text)


def test_an_assert_without_a_text_is_told_by_its_line_and_any_other_error_by_its_type() -> None:
    counted = counter()
    for said in ((), ("the price is 0",)):
        response = Checked()
        try:
            raises(AssertionError(*said))
        except AssertionError:
            _failure(Checked.failure, response, "Assertion failed")
        counted.on_request("GET", "/", 1.0, 2, exception=response._manual_result, response=Response(200))
    counted.on_request("RPC", "/", 1.0, 2, exception=MemoryError())
    first, second, third = (row[4] for row in counted.report()["groups"])
    assert re.fullmatch(r"Assertion failed \([\w/]*test_capture\.py:\d+\)", first)
    assert (second, third) == ("Assertion failed", "MemoryError")
