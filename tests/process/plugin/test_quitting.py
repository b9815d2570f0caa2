"""The user's code ends a run: its end is written down with the reason, and the master's process ends as well.

A real master with its web page, and a real worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.ports import free_port
from tests.process.plugin.test_any_locustfile import PLUGIN, counting_server

PATIENCE_SECONDS = 90
SCENARIO = """
import sys, gevent
from locust import FastHttpUser, constant, events, task
from locust.runners import WorkerRunner

class Buyer(FastHttpUser):
    wait_time = constant(0.05)
    @task
    def buy(self): self.client.get("/page", name="buy")

def when_it_runs(environment, act):
    while environment.stats.total.num_requests < 20:
        gevent.sleep(0.1)
    {act}

@events.init.add_listener
def begin(environment, **_):
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(when_it_runs, environment, None)
"""
ACTS = {
    "runner.quit()": "environment.runner.quit()",
    "sys.exit(3)": "sys.exit(3)",
    "runner.stop()": "environment.runner.stop()",
}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; return its value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(0.1)
    return value


class Pair:
    """A master and its worker. `served` are the states of the page's figures with their requests, as they came."""

    options: tuple[str, ...] = ()

    def __init__(self, folder: Path, host: str, scenario: str) -> None:
        self.folder, self.web, self.port = folder, free_port(), str(free_port())
        (folder / "shop.py").write_text(scenario)
        options = ["--master", "--master-bind-port", self.port, "--web-port", str(self.web), "-H", host]
        self.master = self._locust("master", *options, *self.options)
        self.worker = self._locust("worker", "--worker", "--master-port", self.port)

    def _locust(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "locust", "-f", f"shop.py,{PLUGIN}", *options],
                env={
                    **{name: value for name, value in os.environ.items() if name != "LOCUST_SKIP_MONKEY_PATCH"},
                    "PYTHONPATH": f"{self.folder}:{ROOT / 'locustfiles'}",
                    "KIT_RUNS_DIR": str(self.folder / "runs"),
                },
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> Any:
        """The master's JSON; None when it does not answer."""
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=10) as answer:
            return json.load(answer)

    def start_run(self) -> None:
        """Start a run of a minute once the worker is there."""
        until(lambda: (self.get("/worker-count") or {}).get("worker_count"), "the worker to register")
        form = {"user_count": 2, "spawn_rate": 10, "run_time": 60}
        body = urllib.parse.urlencode(form).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.web}/swarm", body, timeout=10).close()

    def end(self) -> Any:
        """The end marker of the only run, once it is there."""
        (file,) = until(lambda: list((self.folder / "runs").glob("*/end.json")), "the end of the run")
        return json.loads(file.read_text())

    def stop(self) -> None:
        for process in (self.master, self.worker):
            process.terminate()
        for process in (self.master, self.worker):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        url, asked = stack.enter_context(counting_server())
        made = Pair(tmp_path, url, SCENARIO.replace("{act}", ACTS[request.param]))
        stack.callback(made.stop)
        made.asked = asked  # type: ignore[attr-defined]
        yield made


def place(pair: Pair, act: str) -> str:
    lines = (pair.folder / "shop.py").read_text().splitlines()
    return f"shop.py:{next(number for number, line in enumerate(lines, 1) if act in line)}"


@pytest.mark.parametrize(
    ("pair", "call"), [(call, call) for call in ("runner.quit()", "sys.exit(3)")], indirect=["pair"]
)
def test_a_master_that_the_users_code_ends_closes_its_run_and_makes_room_for_another(pair: Pair, call: str) -> None:
    pair.start_run()
    end = pair.end()
    assert end["ended_by"] == {"call": call, "where": place(pair, call)}
    assert (end["quit"], end["requests"] >= 20) == (False, True)
    figures = until(
        lambda: (found := pair.get("/stats/requests")) and found["state"] == "stopped" and found, "the page"
    )
    assert figures["stats"][-1]["num_requests"] == end["requests"]
    status = until(
        lambda: (found := pair.get("/locust-kit/status")) and found["is_ending"] and found, "the master to know its end"
    )
    assert (status["workers_connected"], status["run"]["state"]) == ([], "stopped")
    assert until(lambda: pair.master.poll() is not None, "the master to end")
    assert pair.master.returncode == 0
    assert until(lambda: pair.worker.poll() is not None, "the worker to end")


@pytest.mark.parametrize("pair", ["runner.stop()"], indirect=True)
def test_a_run_that_the_users_code_stops_says_so_and_the_master_goes_on(pair: Pair) -> None:
    pair.start_run()
    end = pair.end()
    assert end["ended_by"] == {"call": "runner.stop()", "where": place(pair, "runner.stop()")}
    until(lambda: pair.get("/stats/requests")["state"] == "stopped", "the run to be over")
    assert pair.get("/worker-count")["worker_count"] == 1
    assert not pair.get("/locust-kit/status")["is_ending"]
    pair.master.terminate()  # as `docker stop` does
    assert pair.master.wait(30) == 0
