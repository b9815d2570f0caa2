"""What a million failures that all differ, with 100,000 names, leave behind: memory of master and workers, and files.

A real master and two real workers, whose users report 1,500 requests a second at most, without a network. The last
seconds are quiet, so that everything that was counted has been reported.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT
from tests.ports import free_port

FAILURES, NAMES = 1_000_000, 100_000

_USERS = """
import itertools, json, os, random, time, uuid
import gevent
from locust import User, events, task
from locust.exception import CatchResponseError
from locust.runners import MasterRunner, WorkerRunner
from locust_kit.memory import resident_bytes
EACH, NAMES = int(os.environ["FAILURES"]) // 2, int(os.environ["NAMES"])
WORDS = "alpha beta gamma delta omega kappa sigma theta".split()
numbers, done = itertools.count(), []
class Answer:
    status_code, url, headers, _content = 500, "http://shop/orders", {"Server": "shop"}, b"busy" * 250
class Angry(User):
    @task
    def fail(self):
        for _ in range(20):
            n = next(numbers)
            done.append(n) if n >= EACH and not done else None
            if n >= EACH:
                gevent.sleep(1)
                return
            words = " ".join(random.choices(WORDS, k=12))
            self.environment.events.request.fire(
                request_type="GET", name=f"/orders/{n % NAMES}", response_time=random.expovariate(0.02),
                response_length=9, response=Answer, context={},
                exception=CatchResponseError(f"{words} request {uuid.uuid4()} " + "stack " * 200))
        gevent.sleep(20 * 4 / 1500)  # of four users in all
@events.test_start.add_listener
def start(environment, **_):
    runner = environment.runner
    def say():
        most = 0
        while True:
            most = max(most, resident_bytes())
            if isinstance(runner, WorkerRunner) and done:
                gevent.sleep(4)
                print("MEMORY worker", max(most, resident_bytes()), flush=True)
                return
            if isinstance(runner, MasterRunner) and environment.stats.total.num_failures >= 2 * EACH:
                gevent.sleep(6)
                most = max(most, resident_bytes())
                print("MEMORY master", most, flush=True)
                print("COUNTED", environment.stats.total.num_failures, len(environment.stats.entries),
                      len(environment.stats.errors), flush=True)
                runner.quit()
                return
            gevent.sleep(0.5)
    gevent.spawn(say)
"""


@dataclass(frozen=True)
class Leftovers:
    """The most that master and workers held, in bytes; Locust's counts of failures, names, errors; sizes of files."""

    master_bytes: int
    worker_bytes: int
    counted: tuple[int, int, int]
    in_groups: int
    file_bytes: dict[str, int]


def measured(failures: int = FAILURES, names: int = NAMES, seconds: float = 1800) -> Leftovers:
    """Run the load. Raises RuntimeError when it came to no end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "users.py").write_text(_USERS, encoding="utf-8")
        (runs := folder / "runs").mkdir()
        files = f"{folder / 'users.py'},{ROOT / 'docker/locust/locust_kit_plugin.py'}"
        port = str(free_port())
        command = [sys.executable, "-W", "ignore", "-m", "locust", "-f", files, "--headless", "--only-summary"]
        command += ["--processes", "2", "--master-port", port, "--master-bind-port", port, "-u", "4", "-r", "4"]
        command += ["--csv", str(runs / "locust"), "--html", str(runs / "locust_report.html")]
        environ = {name: value for name, value in os.environ.items() if name != "LOCUST_SKIP_MONKEY_PATCH"}
        environ |= {"PYTHONPATH": str(ROOT / "locustfiles"), "KIT_RUNS_DIR": str(runs)}
        environ |= {"FAILURES": str(failures), "NAMES": str(names)}
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as locust:
            try:
                printed, logged = locust.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(locust.pid, signal.SIGKILL)
                raise
        said = [line.split() for line in printed.splitlines() if line.startswith(("MEMORY", "COUNTED"))]
        held = {who: [int(row[2]) for row in said if row[:2] == ["MEMORY", who]] for who in ("master", "worker")}
        counted = [tuple(map(int, row[1:])) for row in said if row[0] == "COUNTED"]
        if not counted or len(held["worker"]) != 2:
            raise RuntimeError(logged[-3000:])
        (groups,) = runs.rglob("failure_groups.json")
        return Leftovers(
            *(max(held["master"]), max(held["worker"])),
            (counted[0][0], counted[0][1], counted[0][2]),
            sum(group["count"] for group in json.loads(groups.read_text())["groups"]),
            {path.name: path.stat().st_size for path in sorted(runs.rglob("*")) if path.is_file()},
        )


def lines(left: Leftovers) -> Iterator[str]:
    """Yield what was left, in words."""
    failures, names, errors = left.counted
    yield f"  master {left.master_bytes >> 20} MiB, worker {left.worker_bytes >> 20} MiB at most; {failures:,} failures"
    yield f"  {names:,} names and {errors:,} errors in Locust's tables, {left.in_groups:,} failures in the groups"
    for name, size in left.file_bytes.items():
        yield f"  {name:<28} {size / 1e6:8.2f} MB"


def report() -> None:
    """Print what was left."""
    print(*lines(measured()), sep="\n", flush=True)
