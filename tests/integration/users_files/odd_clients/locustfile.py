"""A user that reports its requests as clients of one's own do; `mode.json` beside this file says in which way."""

import itertools
import json
from pathlib import Path

from locust import HttpUser, constant, events, task
from locust.exception import RescheduleTask, StopUser

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


def mode():
    return json.loads(MODE.read_text())


@events.report_to_master.add_listener
def end_report(**_):
    if mode().get("ends"):
        raise StopUser


@events.test_start.add_listener
def put_in_front(environment, **_):
    handlers = environment.events.request._handlers
    if mode().get("ends") and end_task not in handlers:
        handlers.insert(0, end_task)


def end_task(exception, **_):
    if exception and mode().get("ends"):
        raise RescheduleTask


class Odd(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    def on_start(self):
        self.mode = mode()

    @task
    def call(self):
        if field := self.mode.get("field"):  # half of what it reports is odd, and failed
            self.report(name="good")
            self.report(**{"name": "bad", "exception": OSError("refused"), field: ODD[self.mode["value"]]})
        elif self.mode.get("ends"):
            self.client.get("/fast")
            self.client.get("/status/500", name="/failing")
            self.client.get("/fast", name="/never")
        elif self.mode.get("counts by itself"):
            self.client.get("/fast")
            self.environment.stats.log_error("GET", "/fast", "no request of the plugin's")
        elif self.environment.runner.worker_index % 2:
            self.client.get("/fast")
        elif next(count) % 10 == 0:
            self.client.get("/fast", name=HALF)
        else:
            self.client.get("/status/500", name="/failing")

    def report(self, **changed):
        usual = {"request_type": "RPC", "response_time": 1, "response_length": 0, "exception": None, "context": {}}
        self.environment.events.request.fire(**{**usual, **changed})
