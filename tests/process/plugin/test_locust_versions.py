"""The oldest and the newest Locust that the plugin supports: the same wrong runs are told from the same good ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.mock_target._talk import Target, started
from tests.process.plugin.supported import Installed

pytestmark = pytest.mark.long

VERSIONS = ("2.44.0", "2.47.0")

GOOD = """
from locust import FastHttpUser, HttpUser, constant, task

class Plain(HttpUser):
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/fast")

    @task
    def check(self):
        with self.client.get("/api/data", catch_response=True) as answer:
            answer.success()

class Fast(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/slow?ms=50", name="/slow")
"""
RAISES = """
from locust import HttpUser, constant, task

class Buyer(HttpUser):
    wait_time = constant(0.2)

    @task
    def buy(self):
        self.client.get("/fast").json()["in_stock"]
"""
ON_START = """
from locust import HttpUser, constant, task

class Member(HttpUser):
    wait_time = constant(0.2)

    def on_start(self):
        self.token = self.client.get("/fast").json()["token"]

    @task
    def look(self):
        self.client.get("/fast")
"""
NOT_MADE = """
import itertools
from locust import HttpUser, constant, task

NUMBERS = itertools.count()

class Account(HttpUser):
    wait_time = constant(0.2)

    def __init__(self, *args):
        super().__init__(*args)
        self.account = ["ann", "ben"][next(NUMBERS)]

    @task
    def look(self):
        self.client.get("/fast")
"""
HANGS = """
from locust import HttpUser, FastHttpUser, constant, task

class Waiting(HttpUser):
    wait_time = constant(0.2)

    @task
    def checkout(self):
        self.client.get("/fast")
        self.client.post("/hang", name="/checkout")

class FastWaiting(FastHttpUser):
    network_timeout = connection_timeout = 120

    @task
    def checkout(self):
        self.client.get("/fast")
        self.client.post("/hang", name="/checkout")
"""
WITHOUT_WITH = """
from locust import FastHttpUser, HttpUser, constant, task

class Forgetful(HttpUser):
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/fast")
        answer = self.client.get("/status/503", catch_response=True)
        if answer.status_code != 200:
            answer.failure("no")

class FastForgetful(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/status/503", catch_response=True)
"""
ODD_DATA = """
from locust import User, constant, task

class Odd(User):
    wait_time = constant(0.1)

    @task
    def call(self):
        for response_time, name in ((12.0, "good"), (float("nan"), "odd \\ud800")):
            self.environment.events.request.fire(
                request_type="RPC", name=name, response_time=response_time, response_length=None, context={},
                response=None, exception=None if name == "good" else ValueError("no"))
"""
BLOCKS = """
import time
from gevent.monkey import get_original
from locust import HttpUser, constant, task

block = get_original("time", "sleep")

class Blocking(HttpUser):
    wait_time = constant(0.3)

    @task
    def look(self):
        self.client.get("/fast")
        block(0.4)
"""
BEHIND = """
from locust import HttpUser, constant_throughput, task

class Steady(HttpUser):
    wait_time = constant_throughput(5)

    @task
    def look(self):
        self.client.get("/slow?ms=500", name="/slow")
"""

WRONG = {
    "raises": (RAISES, "FAIL", "KeyError"),
    "on_start": (ON_START, "INVALID", "users_short"),
    "not_made": (NOT_MADE, "INVALID", "users_short"),
    "hangs": (HANGS, "FAIL", "never answered"),
    "without_with": (WITHOUT_WITH, "INVALID", "unreported"),
    "odd_data": (ODD_DATA, "FAIL", "50.00%"),
    "blocks": (BLOCKS, "INVALID", "generator_blocked"),
    "behind": (BEHIND, "INVALID", "rate_short"),
}


@pytest.fixture(scope="module", params=VERSIONS)
def locust(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed.make(tmp_path_factory.mktemp("locust") / request.param, request.param)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with started() as process:
        yield process


def test_a_good_run_passes(locust: Installed, target: Target, tmp_path: Path) -> None:
    verdict = locust.run(tmp_path / "run", GOOD, address(target), "-u", "6", "-r", "6", "-t", "15s")
    assert (verdict.word, verdict.broken) == ("PASS", ()), verdict.reasons


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_run_is_named(locust: Installed, target: Target, tmp_path: Path, kind: str) -> None:
    text, word, named = WRONG[kind]
    verdict = locust.run(tmp_path / "run", text, address(target), "-u", "6", "-r", "6", "-t", "25s")
    said = [*verdict.reasons, *(reason.kind for reason in verdict.broken)]
    assert verdict.word == word, said
    assert any(named in line for line in said), said


def address(target: Target) -> str:
    return f"http://127.0.0.1:{target.http_port}"
