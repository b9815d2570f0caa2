"""The account of requests: names, waits and bounds; what real clients do is in tests/process/plugin."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from gevent import GreenletExit
from locust.clients import HttpSession
from locust.env import Environment
from locust.exception import StopUser
from locust_kit.meters.flights import MOST_FOLLOWED_ENDPOINTS, Flights, Site, key_of, whole_seconds
from locust_kit.meters.requests import RequestMeter
from locust_kit.texts import OTHERS


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def flight(url: str, began: float = 100.0, name: str | None = None, **options: Any) -> list[Any]:
    session = HttpSession("http://shop.test", None, None)
    return [session, "GET", url, name, options, began, 0, None]


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (flight("/cart"), "/cart"),
        (flight("/cart", name="cart"), "cart"),
        (flight("/cart", params={"id": 7}), "/cart?id=7"),
        (flight("/cart?a=b c#part"), "/cart?a=b%20c"),
        (flight("http://other.test/cart?id=7"), "/cart?id=7"),
        (flight("http://[half"), "http://[half"),
    ],
)
def test_a_request_on_its_way_has_the_name_that_locust_will_report(made: list[Any], name: str) -> None:
    assert key_of(made) == ("GET", name)


def test_a_group_of_requests_has_the_name_that_its_session_says() -> None:
    made = flight("/cart/7")
    made[0].request_name = "/cart/[id]"
    assert key_of(made) == ("GET", "/cart/[id]")


@pytest.mark.parametrize(("seconds", "whole"), [(-1.0, 0), (0.9, 0), (99.9, 99), (104.0, 100), (3599.0, 3500)])
def test_waits_are_whole_seconds_and_beyond_a_hundred_two_digits(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole


def test_how_a_request_ended_without_an_answer_is_told_apart() -> None:
    clock = Clock()
    flights = Flights(clock)
    clock.now = 129.5
    flights.raised(flight("/hang"), GreenletExit())
    flights.raised(flight("/odd"), ValueError())
    flights.raised(flight("/last"), StopUser())  # a listener ends its user: Locust has the request
    endpoint = flights.endpoints["GET", "/hang"]
    assert (endpoint.cut, endpoint.raised, flights.answered) == ({29: 1}, 0, 1)
    assert (flights.endpoints["GET", "/odd"].raised, ("GET", "/last") in flights.endpoints) == (1, False)


def test_a_secret_argument_of_the_run_stands_in_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "locust_kit.meters.requests.secrets_of", lambda _: frozenset({"hunter2-of-a-run"}), raising=False
    )
    monkeypatch.setattr("locust_kit.meters.requests.install", lambda _: ([], []))
    flights = Flights(Clock())
    meter = RequestMeter(flights)
    meter.listen(Environment(user_classes=[]))
    meter.begin()
    flights.flying[1] = flight("/cart/hunter2-of-a-run")
    (row,) = meter.document()["endpoints"]
    assert row["name"] == "/cart/***"


def test_names_are_bounded_and_cleaned_and_those_that_wait_longest_are_kept() -> None:
    clock = Clock()
    flights = Flights(clock)
    for number in range(MOST_FOLLOWED_ENDPOINTS + 50):
        flights.flying[number] = flight(f"/{number}?token=secret", began=100.0 - number)
        flights.raised(flight(f"/{number}"), ValueError())
    document = RequestMeter(flights, lambda text: text.replace("secret", "***")).document()
    rows = document["endpoints"]
    assert (document["in_flight"], document["raised"], len(rows)) == (250, 250, MOST_FOLLOWED_ENDPOINTS + 1)
    assert (rows[0]["name"], rows[0]["waiting"]) == ("/240?token=***", [[240, 1]])  # all waits from 240 s on are alike
    assert rows[-1]["name"] == OTHERS
    assert sum(row.get("in_flight", 0) for row in rows) == 250


def test_workers_are_added_up_and_how_long_nothing_came_back_is_the_least_of_theirs() -> None:
    clock, meters = Clock(), []
    for seconds in (4.0, 20.0):
        flights = Flights(clock)
        flights.flying[1] = flight("/hang", began=100.0 - seconds)
        meters.append(RequestMeter(flights, str))
    meters[0].document()
    clock.now = 112.0
    meters[1]._flights.answered += 1
    merged = RequestMeter.merged({f"w-{number}": meter.document() for number, meter in enumerate(meters)})
    assert (merged["sent"], merged["reported"], merged["in_flight"]) == (3, 1, 2)
    assert (merged["oldest_seconds"], merged["quiet_seconds"]) == (32, 0)
    assert merged["endpoints"] == [{"method": "GET", "name": "/hang", "in_flight": 2, "waiting": [[16, 1], [32, 1]]}]
    assert RequestMeter.moment(merged)["long"] == [["GET", "/hang", 2, 32]]


def test_an_answer_of_an_earlier_run_that_is_reported_after_all_makes_no_count_negative() -> None:
    flights = Flights(Clock())
    meter = RequestMeter(flights, str)
    site = Site(RequestMeter.document.__code__, "shop.py:7")
    answer = [weakref.ref(meter), ("GET", "/held"), site, False, False, None]  # of anything that lives on
    flights.answers[id(answer)] = answer
    flights.answered = 1
    assert meter.document()["unreported"] == 1
    meter.begin()
    site.reports = True
    flights.heard(answer)
    found = meter.document()
    assert (found["unreported"], found["held"], found["sites"]) == (0, 1, [])
    flights.answers.pop(id(answer))  # reported: Locust counts it in the run under way
    found = meter.document()
    assert (found["sent"], found["answered"], found["reported"]) == (1, 1, 1)
