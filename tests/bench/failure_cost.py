"""What failures cost two workers beside bare Locust, by their share and by their texts: in turns, against one server.

Each run is a master and two workers under a fixed load, whose users take some of the answers for failures. Compared are
throughput, the 95th percentile of the response times, and the longest time in which the loop of a worker stood still;
and its processor time, which other work on the machine does not change.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.paired import SERVER
from tests.bench.servers import serving
from tests.paths import ROOT
from tests.ports import free_port

PAIRS, SECONDS, PER_SECOND = 3, 20, 1500
SHARES, TEXTS = (1, 10, 100), ("equal", "short", "long")

_USERS = """
import itertools, json, os, random, sys, time, uuid
import gevent
from locust import FastHttpUser, constant_throughput, events, task
from locust.runners import WorkerRunner
SHARE, TEXTS, USERS = int(os.environ["SHARE"]), os.environ["TEXTS"], int(os.environ["USERS"])
WARM_UP, MEASURED, PER_SECOND = 5.0, 14.0, float(os.environ["PER_SECOND"])
WORDS = [uuid.uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))[:7] for _ in range(4096)]
PAGE = "<html>" + "".join(f"<p class='{word}'>{word} {word[::-1]}: id={word}</p>" for word in WORDS[:260])
numbers = itertools.count(int.from_bytes(os.urandom(3), "big") * 1000)
times, gaps, began = [], [(0.0, 0.0)], []
def text(n):
    if TEXTS == "equal":
        return "no stock"
    if TEXTS == "short":
        return f"no stock for order {n} at 10.0.0.{n % 250}"
    return f"{WORDS[n % 4096]} {WORDS[n * 7 % 4096]} {WORDS[n * 31 % 4093]} {n:x} {PAGE}"
class Buyer(FastHttpUser):
    wait_time = constant_throughput(PER_SECOND / USERS)
    def on_start(self):
        gevent.sleep(random.random() * USERS / PER_SECOND)  # else all of them go at once, and p95 is a burst's length
    @task
    def buy(self):
        n = next(numbers)
        with self.client.get("/cart", catch_response=True) as answer:
            if n % 100 < SHARE:
                answer.failure(text(n))
        if began:
            times.append(answer.request_meta["response_time"])
def watch():
    gevent.sleep(WARM_UP)
    started, ended = time.monotonic(), time.monotonic() + MEASURED
    began.append(cpu := time.process_time())
    wall, own = time.perf_counter(), time.thread_time()
    while time.monotonic() < ended:
        gevent.sleep(0.002)
        now, now_own = time.perf_counter(), time.thread_time()
        gaps.append((now - wall - 0.002, now_own - own))
        wall, own = now, now_own
    cpu, seconds, ranked = time.process_time() - cpu, time.monotonic() - started, sorted(times)
    print("WORKER", json.dumps({"requests": len(ranked), "seconds": seconds, "p95": ranked[len(ranked) * 95 // 100],
        "cpu_us": 1e6 * cpu / len(ranked), "wall_ms": 1e3 * max(wall for wall, _ in gaps),
        "own_ms": 1e3 * max(own for _, own in gaps)}), flush=True)
@events.test_start.add_listener
def start(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        gevent.spawn(watch)
"""


@dataclass(frozen=True)
class Outcome:
    """A run's figures: requests a second, ms, µs of a worker's processor a request, ms that a loop stood still.

    `own_ms` is the longest that a worker itself worked between two turns of its loop, `still_ms` by the clock.
    """

    per_second: float
    p95_ms: float
    cpu_us: float
    still_ms: float
    own_ms: float


def _run(folder: Path, port: str, share: int, texts: str, *, plugin: bool) -> Outcome:
    files = [str(folder / "users.py"), *([str(ROOT / "docker/locust/locust_kit_plugin.py")] if plugin else [])]
    command = [sys.executable, "-W", "ignore", "-m", "locust", "-f", ",".join(files), "--headless", "--only-summary"]
    master = str(free_port())
    command += ["--processes", "2", "--master-port", master, "--master-bind-port", master]
    done = subprocess.run(
        [*command, "-u", "50", "-r", "50", "-t", f"{SECONDS}s", "-H", f"http://127.0.0.1:{port}"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "locustfiles"),
            "SHARE": str(share),
            "TEXTS": texts,
            "USERS": "50",
            "PER_SECOND": str(PER_SECOND),
            "KIT_RUNS_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    workers = [json.loads(said) for said in re.findall(r"WORKER (\{.*?\})", done.stdout)]
    if len(workers) != 2:
        raise RuntimeError(f"{len(workers)} of 2 workers told their figures: {done.stderr[:2000]}")
    return Outcome(
        sum(worker["requests"] / worker["seconds"] for worker in workers),
        max(worker["p95"] for worker in workers),
        statistics.mean(worker["cpu_us"] for worker in workers),
        max(worker["wall_ms"] for worker in workers),
        max(worker["own_ms"] for worker in workers),
    )


def lines(pairs: int = PAIRS) -> Iterator[str]:
    """Yield the rows of the table in docs/bench.md."""
    yield "| failed | texts | requests/s: bare → kit | p95, ms | µs a request | stood still, ms | of it own work, ms |"
    yield "| --: | --- | --- | --- | --- | --- | --- |"
    with tempfile.TemporaryDirectory() as name, serving(SERVER) as port:
        folder = Path(name)
        (folder / "users.py").write_text(_USERS, encoding="utf-8")
        for share in SHARES:
            for texts in TEXTS:
                found: dict[bool, list[Outcome]] = {False: [], True: []}
                for pair in range(pairs):
                    for plugin in (False, True) if pair % 2 else (True, False):
                        found[plugin].append(_run(folder, port, share, texts, plugin=plugin))
                bare, kit = (
                    [_median(found[plugin], name) for name in Outcome.__annotations__] for plugin in (False, True)
                )
                yield (
                    f"| {share} % | {texts} | {bare[0]:,.0f} → {kit[0]:,.0f}: {kit[0] / bare[0]:.1%} "
                    f"| {bare[1]:.2f} → {kit[1]:.2f}: {kit[1] / bare[1] - 1:+.1%} "
                    f"| {bare[2]:.0f} → {kit[2]:.0f}: {kit[2] - bare[2]:+.1f} "
                    f"| {bare[3]:.1f} → {kit[3]:.1f} | {bare[4]:.1f} → {kit[4]:.1f} |"
                )


def _median(outcomes: list[Outcome], name: str) -> float:
    return float(statistics.median(getattr(outcome, name) for outcome in outcomes))


def report(pairs: int = PAIRS) -> None:
    """Print the table."""
    for line in lines(pairs):
        print(line, flush=True)
