"""Time-outs, pool size and retries: what is set holds, what a class or a request says itself wins."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from locust import FastHttpUser
from locust.clients import LocustHttpAdapter
from locust_kit.connections import ConnectionSettings, Retried, install, retry_note

from tests.process.plugin.conftest import World
from tests.process.plugin.https_servers import Server, full, silent
from tests.process.plugin.locust_process import BOTH, FAST, REQUESTS, Step, run

TIMED_OUT = {
    FAST: r"RetriesExceeded: .*timed out",
    REQUESTS: r"ReadTimeout: .*\(read timeout=0\.3\)",
}
LONG = "3600"
"""Seconds that no test lives to see: were it obeyed, the process would be ended and the test fail."""


@pytest.fixture
def nobody() -> Iterator[str]:
    with silent() as url:
        yield url


@pytest.fixture
def free_url() -> Iterator[str]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


class FailingFirst:
    """Does something to the first `number` requests of a server."""

    def __init__(self, number: int, fault: Callable[[], None]) -> None:
        self._left = number
        self._fault = fault

    def __call__(self) -> None:
        self._left -= 1
        if self._left >= 0:
            self._fault()


# Time-outs


def test_a_server_that_never_answers_ends_in_a_read_time_out(nobody: str) -> None:
    fast, requests = run(Step(FAST, nobody), Step(REQUESTS, nobody), READ_TIMEOUT="0.3", CONNECT_TIMEOUT=LONG).each
    assert re.search(TIMED_OUT[FAST], fast.error)
    assert re.search(TIMED_OUT[REQUESTS], requests.error)


def test_a_host_that_never_accepts_ends_in_a_connect_time_out() -> None:
    with full() as url:
        fast, requests = run(Step(FAST, url), Step(REQUESTS, url), CONNECT_TIMEOUT="0.3", READ_TIMEOUT=LONG).each
    assert re.search(TIMED_OUT[FAST], fast.error)
    assert "(connect timeout=0.3)" in requests.error


def test_a_requests_own_time_out_wins(nobody: str) -> None:
    steps = [Step(REQUESTS, nobody, arguments={"timeout": timeout}) for timeout in (0.3, (None, 0.3))]
    for outcome in run(*steps, READ_TIMEOUT=LONG, CONNECT_TIMEOUT=LONG).each:
        assert re.search(TIMED_OUT[REQUESTS], outcome.error)


def test_a_classs_own_time_outs_win(nobody: str) -> None:
    step = Step(FAST, nobody, attributes={"network_timeout": 0.3, "connection_timeout": 0.3})
    settings = {"READ_TIMEOUT": LONG, "CONNECT_TIMEOUT": LONG}
    assert re.search(TIMED_OUT[FAST], run(step, **settings).only.error)
    with full() as url:
        step = Step(FAST, url, attributes=step.attributes)
        assert re.search(TIMED_OUT[FAST], run(step, **settings).only.error)


# Pool size


def test_a_fast_user_has_no_more_connections_at_once_than_the_pool_holds(server: Server) -> None:
    pairs = threading.Barrier(2)
    server.before = lambda: void(pairs.wait(timeout=20))
    report = run(Step(FAST, server.url, at_once=4), POOL_SIZE="2")
    assert [outcome.status for outcome in report.outcomes[0]] == [200] * 4
    assert server.connections == 2


def test_a_requests_user_keeps_as_many_connections_as_the_pool_holds(server: Server) -> None:
    all_four = threading.Barrier(4)
    server.before = lambda: void(all_four.wait(timeout=20))
    report = run(Step(REQUESTS, server.url, at_once=4, rounds=2), POOL_SIZE="2")
    assert [outcome.status for outcome in report.outcomes[0]] == [200] * 8
    assert server.connections == 4 + 2


def void(_: object) -> None:
    """Drop a value."""


# Retries


@pytest.mark.parametrize(("client", "counted"), [(FAST, "fast_http_user"), (REQUESTS, "http_user")])
def test_each_retry_is_counted(client: str, counted: str, server: Server) -> None:
    done = threading.Event()
    server.before = FailingFirst(2, lambda: void(done.wait(20)))
    report = run(Step(client, server.url), RETRIES="3", READ_TIMEOUT="1")  # the third answers within it
    done.set()
    assert report.only.status == 200
    assert report.retried == {"http_user": 0, "fast_http_user": 0} | {counted: 2}


def test_the_line_at_the_end_says_whose_time_and_whose_outcome_the_figures_hold() -> None:
    assert retry_note(1).startswith("1 further attempt; ")
    assert retry_note(7) == (
        "7 further attempts; the time of such a request includes all its attempts, "
        "and its outcome is that of the last one"
    )


@pytest.mark.parametrize("client", BOTH)
def test_without_the_setting_there_is_no_retry(client: str, server: Server) -> None:
    done = threading.Event()
    server.before = FailingFirst(1, lambda: void(done.wait(20)))
    report = run(Step(client, server.url), READ_TIMEOUT="0.3")
    done.set()
    assert report.only.status == 0
    assert report.retried == {"http_user": 0, "fast_http_user": 0}


def test_retries_that_do_not_help_leave_the_failure_its_name(nobody: str) -> None:
    report = run(Step(FAST, nobody), Step(REQUESTS, nobody), RETRIES="2", READ_TIMEOUT="0.3")
    fast, requests = report.each
    assert re.search(TIMED_OUT[FAST], fast.error)
    assert re.search(TIMED_OUT[REQUESTS], requests.error)
    assert report.retried == {"http_user": 2, "fast_http_user": 2}


@pytest.mark.parametrize("client", BOTH)
def test_what_may_have_been_done_already_is_not_sent_again(client: str, server: Server) -> None:
    done = threading.Event()
    server.before = FailingFirst(1, lambda: void(done.wait(20)))
    report = run(Step(client, server.url, method="POST"), RETRIES="3", READ_TIMEOUT="0.3")
    done.set()
    assert report.only.status == 0
    assert (server.requests, sum(report.retried.values())) == (1, 0)


def test_an_answer_is_an_answer(server: Server) -> None:
    server.status, server.headers = 503, {"Retry-After": LONG}
    report = run(Step(FAST, server.url), Step(REQUESTS, server.url), RETRIES="3")
    assert [outcome.status for outcome in report.each] == [503, 503]
    assert (server.requests, sum(report.retried.values())) == (2, 0)


def test_a_refused_certificate_is_not_tried_again(world: World) -> None:
    url = world.servers["self_signed"]
    report = run(Step(FAST, url, attributes={"insecure": False}), Step(REQUESTS, url), RETRIES="3")
    assert all("CERTIFICATE_VERIFY_FAILED" in outcome.error for outcome in report.each)
    assert sum(report.retried.values()) == 0


def test_a_connection_that_cannot_be_made_is_tried_again_by_requests_alone(free_url: str) -> None:
    steps = [Step(client, free_url, method="POST") for client in BOTH]
    report = run(*steps, RETRIES="2")
    assert all(outcome.error.startswith("ConnectionRefusedError") for outcome in report.each)
    assert report.retried == {"http_user": 2, "fast_http_user": 0}


def test_a_retry_is_returned_once() -> None:
    retried = Retried(http_user=2, fast_http_user=1)
    assert (retried.since_last_call(), retried.since_last_call()) == (3, 0)
    retried.http_user += 1
    assert (retried.since_last_call(), retried.total) == (1, 4)


# Settings, and what goes wrong


def test_unset_and_empty_variables_leave_all_to_locust() -> None:
    assert (
        ConnectionSettings.from_environ({})
        == ConnectionSettings.from_environ({"KIT_READ_TIMEOUT": ""})
        == ConnectionSettings()
    )
    before = dict(vars(FastHttpUser)), dict(vars(LocustHttpAdapter))
    assert install(ConnectionSettings()) == "connections: Locust's defaults"
    assert before == (dict(vars(FastHttpUser)), dict(vars(LocustHttpAdapter)))


def test_all_four_are_read() -> None:
    environ = {"CONNECT_TIMEOUT": "1.5", "READ_TIMEOUT": "30", "POOL_SIZE": "20", "RETRIES": "2"}
    found = ConnectionSettings.from_environ({f"KIT_{name}": value for name, value in environ.items()})
    assert found == ConnectionSettings(1.5, 30.0, 20, 2)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (name, value, "seconds above 0")
        for name in ("CONNECT_TIMEOUT", "READ_TIMEOUT")
        for value in ("x", "0", "-1", "nan", "inf")
    ]
    + [("POOL_SIZE", value, "from 1 on") for value in ("0", "-1", "1.5", "ten", "²")]
    + [("RETRIES", value, "from 0 on") for value in ("-1", "1.5", "many")],
)
def test_an_invalid_value_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"KIT_{name} is '{re.escape(value)}'; expected: .*{said}"):
        ConnectionSettings.from_environ({f"KIT_{name}": value})


def test_the_settings_are_described() -> None:
    said = run(CONNECT_TIMEOUT="1.5", READ_TIMEOUT="30", POOL_SIZE="20", RETRIES="2").said[1]
    assert said == (
        "FastHttpUser, HttpUser: connect time-out 1.5 s, read time-out 30 s, pool size 20, at most 2 retries, counted"
    )


def test_a_locust_of_another_make_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(_self: object) -> None:
        pass

    monkeypatch.delattr(FastHttpUser, "max_retries")
    monkeypatch.setattr(LocustHttpAdapter, "__init__", init)
    before = dict(vars(FastHttpUser)), dict(vars(LocustHttpAdapter))
    line = install(ConnectionSettings(1, 1, 1, 1))
    assert line.startswith("FastHttpUser keeps Locust's default: AttributeError: ")
    assert "; HttpUser keeps Locust's default: TypeError: " in line
    assert before == (dict(vars(FastHttpUser)), dict(vars(LocustHttpAdapter)))
