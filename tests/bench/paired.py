"""What the plugin costs a real worker: the same users with it and without it, in turns, against one server.

Each run is a master and a worker of its own with a fixed number of requests. Compared is the processor time of the
worker between the start of its test and the last request, its reports to the master included, so that neither the
server, nor the master, nor other work on the machine is in it. A short and a long run tell apart what a request costs
and what the start does, which is paid once.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PAIRS, SHORT, LONG = 12, 10_000, 40_000
_T_95 = 2.201  # Student's t for 11 degrees of freedom, two-sided
_ROOT = Path(__file__).resolve().parents[2]

_SERVER = """
import gevent.monkey; gevent.monkey.patch_all()
from gevent.server import StreamServer
ANSWER = b"HTTP/1.1 %s\\r\\nContent-Length: 2\\r\\n\\r\\nok"  # in one piece: else 40 ms of Nagle's are what is measured
def serve(link, _):
    while asked := link.recv(65536):
        link.sendall(ANSWER % (b"503 Busy" if b"/bad" in asked[:10] else b"200 OK"))
server = StreamServer(("127.0.0.1", 0), serve)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
"""
_USERS = """
import itertools, json, os, time
import gevent
from locust import FastHttpUser, events, task
LEFT = itertools.count(int(os.environ["REQUESTS"]), -1)
BEGAN = []
class Buyer(FastHttpUser):
    @task
    def buy(self):
        left = next(LEFT)
        if left <= 0:
            if left == 0:
                print(json.dumps([time.process_time() - BEGAN[0], int(os.environ["REQUESTS"])]), flush=True)
                gevent.spawn(self.environment.runner.quit)  # the master goes with its last worker
            gevent.sleep(1)
            return
        self.client.get(os.environ["PATH_ASKED"])
@events.test_start.add_listener
def started(**_):
    BEGAN.append(time.process_time())
"""


@contextmanager
def _server() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _seconds(folder: Path, port: int, path: str, requests: int, *, plugin: bool) -> float:
    """Processor time of one run's requests, and of the start of its test."""
    files = [str(folder / "users.py"), *([str(_ROOT / "docker/locust/locust_kit_plugin.py")] if plugin else [])]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "locust",
        "-f",
        ",".join(files),
        "--headless",
        "--only-summary",
        "--processes",
        "1",
    ]
    done = subprocess.run(
        [*command, "-u", "4", "-r", "4", "-t", "60", "-H", f"http://127.0.0.1:{port}"],
        env={
            **os.environ,
            "PYTHONPATH": str(_ROOT / "locustfiles"),
            "REQUESTS": str(requests),
            "PATH_ASKED": path,
            "KIT_RUNS_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, _ = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    return float(seconds)


@dataclass(frozen=True)
class _Line:
    """What a short and a long run took: so much for each request, so much for the start. Seconds."""

    a_request: float
    start: float


def _line(folder: Path, port: int, path: str, *, plugin: bool) -> _Line:
    short, long = (_seconds(folder, port, path, requests, plugin=plugin) for requests in (SHORT, LONG))
    a_request = (long - short) / (LONG - SHORT)
    return _Line(a_request, short - SHORT * a_request)


def report() -> None:
    """Print the differences of the pairs, with the interval in which their mean is at 95 %."""
    with tempfile.TemporaryDirectory() as folder, _server() as port:
        (Path(folder) / "users.py").write_text(_USERS, encoding="utf-8")
        for what, path in (("good requests", "/"), ("failures", "/bad")):
            bare: list[_Line] = []
            more: list[_Line] = []
            for pair in range(PAIRS):
                for plugin in (False, True) if pair % 2 else (True, False):
                    (more if plugin else bare).append(_line(Path(folder), port, path, plugin=plugin))
            pairs = list(zip(more, bare, strict=True))
            print(
                f"  {what:<16} bare {1e6 * statistics.median(one.a_request for one in bare):6.1f} µs, "
                f"with the plugin {1e6 * statistics.median(one.a_request for one in more):6.1f} µs; {PAIRS} pairs: "
                f"{_apart([1e6 * (one.a_request - other.a_request) for one, other in pairs])} µs a request, "
                f"{_apart([1e3 * (one.start - other.start) for one, other in pairs])} ms a start (95 %)",
                flush=True,
            )


def _apart(differences: list[float]) -> str:
    half = _T_95 * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{statistics.mean(differences):+.1f} ± {half:.1f}"


if __name__ == "__main__":
    report()
