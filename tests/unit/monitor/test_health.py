"""Whether things answer: asked for real on loopback, remembered by the minute, told with since when and how often."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sidecar.ledger.history import History
from sidecar.model.history import HealthMinute
from sidecar.monitor import health
from sidecar.monitor.health import CheckedEndpoint, HealthAnswer, HealthChecker, ask

START = datetime(2026, 11, 27, 10, 0, 5, tzinfo=UTC)
GOOD, BAD = (
    HealthAnswer(passed=True, response_ms=10.0, status=200),
    HealthAnswer(passed=False, response_ms=30.0, error="no"),
)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.rsplit("/", 1)[1]))
        self.send_header("Location", "http://nowhere.invalid/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "passed"), [(200, True), (302, True), (401, True), (404, True), (500, False), (503, False)]
)
def test_any_answer_below_500_is_well_and_no_redirect_is_followed(server: str, status: int, *, passed: bool) -> None:
    found = ask(f"{server}/{status}")
    assert (found.passed, found.status) == (passed, status)
    assert found.error == ("" if passed else f"it answers {status}")


def test_what_does_not_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert ask(address).error == "connection refused"
        bound.listen()
        monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 0.2)
        assert ask(address).error.startswith("no answer within")
    for odd in ("http://", "ftp://x", "http://[", "http://127.0.0.1:99999/"):
        assert not ask(odd).passed


class World:
    """A clock, and answers by URL."""

    def __init__(self, *urls: str) -> None:
        self.now = START
        self.answers = dict.fromkeys(urls, GOOD)
        self.endpoint = [CheckedEndpoint(f"name-{number}", url) for number, url in enumerate(urls)]
        self.kept: list[HealthMinute] = []

    def checker(self, earlier: tuple[HealthMinute, ...] = ()) -> HealthChecker:
        return HealthChecker(
            lambda: self.endpoint, self.kept.extend, earlier, lambda: self.now, 10.0, lambda url, _: self.answers[url]
        )

    def rounds(self, checker: HealthChecker, count: int) -> None:
        for _ in range(count):
            checker.check_all()
            self.now += timedelta(seconds=10)


def test_it_is_known_how_each_is_since_when_and_how_often_it_was_well() -> None:
    world = World("http://a", "http://b")
    checker = world.checker()
    world.rounds(checker, 3)
    world.answers["http://b"] = BAD
    world.rounds(checker, 1)
    well, down = checker.known()
    assert (well.passed, well.since, well.uptime_percent, well.status) == (True, START, 100.0, 200)
    assert (down.passed, down.since, down.uptime_percent) == (False, START + timedelta(seconds=30), 75.0)
    assert (down.error, down.response_ms) == ("no", 30.0)


def test_each_full_minute_is_one_row() -> None:
    world = World("http://a")
    world.rounds(world.checker(), 13)
    assert [(one.at.minute, one.checks, one.passed) for one in world.kept] == [(0, 6, 6), (1, 6, 6)]
    assert world.kept[0].total_ms == 60.0


def test_another_target_begins_anew_and_one_that_is_asked_no_more_is_not_told() -> None:
    world = World("http://a", "http://b")
    checker = world.checker()
    world.rounds(checker, 2)
    world.answers["http://c"] = BAD
    world.endpoint = [CheckedEndpoint("name-0", "http://c")]
    world.rounds(checker, 1)
    (only,) = checker.known()
    assert (only.url, only.passed, only.uptime_percent) == ("http://c", False, 0.0)


def test_an_earlier_sidecars_day_counts_and_what_is_older_does_not() -> None:
    minute = START.replace(second=0)
    earlier = (
        HealthMinute(minute - timedelta(minutes=5), "name-0", "http://a", checks=3, passed=0),
        HealthMinute(minute - timedelta(hours=25), "name-0", "http://a", checks=100, passed=0),
        HealthMinute(minute - timedelta(minutes=5), "name-0", "http://other", checks=100, passed=0),
    )
    world = World("http://a")
    checker = world.checker(earlier)
    world.rounds(checker, 1)
    assert checker.known()[0].uptime_percent == 25.0


def test_the_thread_asks_at_once_and_ends_when_told_to() -> None:
    world = World("http://a")
    checker = world.checker()
    checker.start()
    deadline = threading.Event()
    while not checker.known():
        assert not deadline.wait(0.01)
    checker.stop()
    assert world.kept[-1].checks >= 1


def test_history_keeps_minutes_and_gives_them_back(tmp_path: Path) -> None:
    history = History(tmp_path, lambda: START)
    history.start()
    rows = [
        HealthMinute(START.replace(second=0, minute=minute), "target", "http://shop/", 6, 5, 60.0, 20.0, "refused")
        for minute in range(3)
    ]
    history.add_health(rows)
    assert history.flush(10)
    found = history.health(since=START - timedelta(hours=1), until=START.replace(minute=2, second=0))
    assert found == [rows[1], rows[0]]
    history.close()
