"""Requests after the end of a run's load stand apart, and rates are over the load's time; a real master and worker."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.process.plugin.test_any_locustfile import counting_server
from tests.process.plugin.test_quitting import Pair, until

USERS = 4
SCENARIO = """
import gevent
from locust import FastHttpUser, constant, events, task
from locust.exception import StopUser
from locust.runners import MasterRunner

class Buyer(FastHttpUser):
    fixed_count = 3
    wait_time = constant(0.1)

    @task
    def buy(self):
        gevent.sleep(0.3)
        gevent.joinall([gevent.spawn(self.client.get, "/page", name="buy") for _ in range(2)])

    def on_stop(self):
        gevent.sleep(2)
        self.client.get("/bad", name="logout")
        gevent.spawn(self.client.get, "/bye", name="bye").join()

class Guest(FastHttpUser):
    fixed_count = 1

    @task
    def leave(self):
        raise StopUser

    def on_stop(self):
        self.client.get("/left", name="left")

@events.test_stop.add_listener
def upload(environment, **_):
    gevent.sleep(1)
"""


class Shop(Pair):
    """A master and a worker with users that say goodbye."""

    def __init__(self, folder: Path, host: str, asked: Counter[str], stop_timeout: int) -> None:
        self.folder, self.web, self.port = folder, free_port(), str(free_port())
        self.asked = asked
        (folder / "shop.py").write_text(SCENARIO)
        options = ["--master", "--master-bind-port", self.port, "--web-port", str(self.web), "-H", host]
        self.master = self._locust("master", *options, "--stop-timeout", str(stop_timeout))
        self.worker = self._locust("worker", "--worker", "--master-port", self.port)

    def start(self, seconds: int) -> None:
        until(lambda: (self.get("/worker-count") or {}).get("worker_count"), "the worker to register")
        form = urllib.parse.urlencode({"user_count": USERS, "spawn_rate": 10, "run_time": seconds}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.web}/swarm", form, timeout=10).close()

    def read(self, name: str) -> Any:
        (file,) = (self.folder / "runs").glob(f"*/{name}")
        return json.loads(file.read_text())

    def moments(self) -> list[dict[str, Any]]:
        (file,) = (self.folder / "runs").glob("*/timeline.ndjson")
        return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(params=[0, 30])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as stack:
        url, asked = stack.enter_context(counting_server())
        made = Shop(tmp_path, url, asked, request.param)
        stack.callback(made.stop)
        yield made


def test_requests_after_the_end_stand_apart_and_rates_are_over_the_load(shop: Shop) -> None:
    shop.start(4)
    end = shop.end()
    after = end["meters"]["stopping"]
    assert after, f"{end}\n{(shop.folder / 'master.log').read_text()}\n{(shop.folder / 'worker.log').read_text()}"
    late = {row["name"]: (row["requests"], row["failures"]) for row in after["endpoints"]}
    orphans, failed = late.pop("buy", (0, 0))  # of a task that was killed
    assert late == {"logout": (3, 3), "bye": (3, 0)}
    assert (after["requests"], after["failures"], after["users_cut_off"], failed) == (6 + orphans, 3, 0, 0)
    assert [(error["name"], error["occurrences"]) for error in after["errors"]] == [("logout", 3)]
    assert (shop.asked["/bad"], shop.asked["/bye"], shop.asked["/left"]) == (3, 3, 1)
    assert (end["failures"], end["ended_by_timer"], end["stopped_by"]) == (0, True, "")
    whole = datetime.fromisoformat(end["ended_at"]) - datetime.fromisoformat(end["started_at"])
    assert 3 < end["load_seconds"] < whole.total_seconds() - 1  # a goodbye takes 2 s

    statistics = shop.read("statistics.json")
    rows = {row["name"]: row for row in statistics["endpoints"]}
    assert set(rows) == {"buy", "left"}
    assert rows["buy"]["requests"] + orphans == shop.asked["/page"]
    assert rows["buy"]["requests"] + 1 == statistics["figures"]["requests"] == end["requests"]
    assert statistics["errors"] == []
    assert statistics["seconds"] == end["load_seconds"]
    for row in (*rows.values(), statistics["figures"]):
        assert row["requests_per_second"] == pytest.approx(row["requests"] / end["load_seconds"], rel=0.001)
    times = {row["name"]: row["good"]["count"] for row in shop.read("performance.json")["endpoints"]}
    assert times == {name: row["requests"] for name, row in rows.items()}
    assert shop.read("failure_groups.json")["classes"] == {}
    last = shop.moments()[-1]
    assert (last["requests"], last["failures"]) == (end["requests"], 0)


@pytest.mark.parametrize("shop", [1], indirect=True)
def test_a_goodbye_that_is_cut_off_is_counted(shop: Shop) -> None:
    shop.start(4)
    end = shop.end()
    after = end["meters"]["stopping"]
    assert after["users_cut_off"] == 3 - shop.asked["/bye"]
    assert after["requests"] == shop.asked["/bad"] + shop.asked["/bye"]
