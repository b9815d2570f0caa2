"""What the plugin costs a real worker: the same users with it and without it, in turns, against one server.

Each run is a master and a worker of its own with a fixed number of requests. Compared is the processor time of the
worker from the request at which it is warm to the last one, its reports to the master included, so that neither the
server, nor the master, nor the start, nor other work on the machine is in it. The two of a pair share what differs by
chance from one Python to the next, the seed of its hashes; worker and server each keep to a processor.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.servers import serving
from tests.paths import ROOT
from tests.ports import free_port

PAIRS, WARM_UP, REQUESTS = 60, 2_000, 12_000
_Z_95 = 1.96

SERVER = """
import gevent.monkey; gevent.monkey.patch_all()
import contextlib, os; os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
from gevent.server import StreamServer
ANSWER = b"HTTP/1.1 %s\\r\\nContent-Length: 2\\r\\n\\r\\nok"  # in one piece: else 40 ms of Nagle's are what is measured
def serve(link, _):
    with contextlib.suppress(OSError):  # a worker that ends says no goodbye
        while asked := link.recv(65536):
            link.sendall(ANSWER % (b"503 Busy" if b"/bad" in asked[:10] else b"200 OK"))
server = StreamServer(("127.0.0.1", 0), serve)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
"""
_USERS = """
import itertools, os, time
import gevent
from locust import FastHttpUser, events, task
WARM_UP, REQUESTS = int(os.environ["WARM_UP"]), int(os.environ["REQUESTS"])
ASKED = itertools.count()
BEGAN = []
class Buyer(FastHttpUser):
    @task
    def buy(self):
        asked = next(ASKED)
        if asked == WARM_UP:
            BEGAN.append(time.process_time())
        if asked >= WARM_UP + REQUESTS:
            if asked == WARM_UP + REQUESTS:
                print("TOOK", time.process_time() - BEGAN[0], flush=True)
                gevent.spawn(self.environment.runner.quit)  # the master goes with its last worker
            gevent.sleep(1)
            return
        self.client.get(os.environ["PATH_ASKED"])
@events.test_start.add_listener
def started(**_):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
"""


def _microseconds(folder: Path, port: str, path: str, seed: int, *, plugin: bool) -> float:
    """Processor time of one request of a run."""
    files = [str(folder / "users.py"), *([str(ROOT / "docker/locust/locust_kit_plugin.py")] if plugin else [])]
    command = [sys.executable, "-W", "ignore", "-m", "locust", "-f", ",".join(files), "--headless", "--only-summary"]
    master = str(free_port())
    command += ["--processes", "1", "--master-port", master, "--master-bind-port", master]
    done = subprocess.run(
        [*command, "-u", "4", "-r", "4", "-t", "900", "-H", f"http://127.0.0.1:{port}"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "locustfiles"),
            "PYTHONHASHSEED": str(seed),
            "WARM_UP": str(WARM_UP),
            "REQUESTS": str(REQUESTS),
            "PATH_ASKED": path,
            "KIT_RUNS_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return 1e6 * float(re.findall(r"^TOOK (.+)", done.stdout, re.MULTILINE)[0]) / REQUESTS


def report(pairs: int = PAIRS) -> None:
    """Print the differences of the pairs: their mean and their median, each with its interval at 95 %."""
    with tempfile.TemporaryDirectory() as folder, serving(SERVER) as port:
        (Path(folder) / "users.py").write_text(_USERS, encoding="utf-8")
        for what, path in (("good requests", "/"), ("failures", "/bad")):
            took: dict[bool, list[float]] = {False: [], True: []}
            for pair in range(pairs):
                for plugin in (False, True) if pair % 2 else (True, False):
                    took[plugin].append(_microseconds(Path(folder), port, path, pair, plugin=plugin))
            print(
                f"  {what:<16} bare {statistics.median(took[False]):6.1f} µs, with the plugin "
                f"{statistics.median(took[True]):6.1f} µs; {pairs} pairs: "
                f"{_apart([more - bare for bare, more in zip(took[False], took[True], strict=True)])}",
                flush=True,
            )


def _apart(differences: list[float]) -> str:
    """Return the mean ± the half of its interval, and the median with its own, which no single odd pair moves."""
    count = len(differences)
    student = _Z_95 + (_Z_95**3 + _Z_95) / (4 * (count - 1))  # its t for so many, within 1 % from ten on
    half = student * statistics.stdev(differences) / count**0.5
    in_order = sorted(differences)
    lowest = max(0, int((count - _Z_95 * count**0.5) / 2))
    middle = f"{statistics.median(differences):+.1f} ({in_order[lowest]:+.1f} to {in_order[-1 - lowest]:+.1f})"
    return f"mean {statistics.mean(differences):+.1f} ± {half:.1f} µs, median {middle} µs (95 %)"


if __name__ == "__main__":
    report()
