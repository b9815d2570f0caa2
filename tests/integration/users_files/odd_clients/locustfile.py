"""A user that reports its requests as clients of one's own do; `mode.json` beside this file says in which way."""

import itertools
import json
from pathlib import Path

from locust import HttpUser, constant, task

MODE = Path(__file__).with_name("mode.json")
HALF = "/title/half \ud83d"  # a title as a server that cuts JSON sends it
ODD = {
    "none": None,
    "nan": float("nan"),
    "inf": float("inf"),
    "negative": -5,
    "text": "soon",
    "half": HALF,
    "nul": "a\0b",
    "huge": "n" * 100_000,
}
count = itertools.count(1)


class Odd(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    def on_start(self):
        self.mode = json.loads(MODE.read_text())

    @task
    def call(self):
        if field := self.mode.get("field"):  # half of what it reports is odd, and failed
            self.report(name="good")
            self.report(**{"name": "bad", "exception": OSError("refused"), field: ODD[self.mode["value"]]})
        elif self.environment.runner.worker_index % 2:
            self.client.get("/fast")
        elif next(count) % 10 == 0:
            self.client.get("/fast", name=HALF)
        else:
            self.client.get("/status/500", name="/failing")

    def report(self, **changed):
        usual = {"request_type": "RPC", "response_time": 1, "response_length": 0, "exception": None, "context": {}}
        self.environment.events.request.fire(**{**usual, **changed})
