"""What a request costs in a worker's own code at the least, with the plugin and without it, whatever else goes on.

The users and all of Locust's and the plugin's code are real, the network is not: each request has its answer at once.
The figure is the processor time of the fastest of many short stretches, so neither other work on the machine nor a
collection of garbage is in it. A real worker pays about twice the difference: its caches are never that warm.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tests.paths import ROOT

STRETCHES, REQUESTS, TURNS = 300, 500, 3

_PROGRAM = """
import os, sys, time
from locust import FastHttpUser, events, task
import gevent
from gevent.event import Event
from geventhttpclient.header import Headers
from locust.contrib.fasthttp import FastHttpSession, FastResponse
from locust.env import Environment
from requests import HTTPError
plugin, status, stretches, requests = (int(word) for word in sys.argv[1:])
marks, done = [], Event()
class Answer(FastResponse):
    status_code, url, content = status, "http://127.0.0.1:1/", b"ok"
    def __init__(self):
        self.headers, self._cached_content, self._request, self._response = HEADERS, b"ok", None, None
    def raise_for_status(self):
        if status >= 400:
            raise HTTPError("503 Server Error: Busy")
HEADERS = Headers()
FastHttpSession._send_request_safe_mode = lambda *_, **__: Answer()
class Buyer(FastHttpUser):
    host, made = "http://127.0.0.1:1", 0
    @task
    def buy(self):
        Buyer.made += 1
        if Buyer.made % requests == 0:
            marks.append(time.thread_time())
            if len(marks) > stretches:
                done.set()
                gevent.sleep(100)
        self.client.get("/")
environment = Environment(user_classes=[Buyer], events=events)
runner = environment.create_local_runner()
if plugin:
    from locust_kit.failures.counters import RequestCounters
    from locust_kit.meters import Meters
    RequestCounters().listen(environment)
    meters = Meters()
    meters.listen(environment)
    meters.begin()
runner.start(4, 100)
done.wait()
print(1e6 * min(after - before for before, after in zip(marks, marks[1:])) / requests, flush=True)
os._exit(0)
"""


def _microseconds(status: int, *, plugin: bool) -> float:
    """Return the processor time of one request."""
    words = map(str, (int(plugin), status, STRETCHES, REQUESTS))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT / "locustfiles"), "KIT_RUNS_DIR": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout)


def report() -> None:
    """Print the least of some turns, of good requests and of failures."""
    for what, status in (("good requests", 200), ("failures", 503)):
        bare, more = (min(_microseconds(status, plugin=plugin) for _ in range(TURNS)) for plugin in (False, True))
        print(f"  {what:<16} bare {bare:6.2f} µs, with the plugin {more:6.2f} µs: {more - bare:+.2f} µs", flush=True)
