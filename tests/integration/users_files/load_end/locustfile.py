"""Users whose figures are easily told wrong: names without end, a late outage, and goodbyes."""

import json
import time
from pathlib import Path

import gevent
from locust import HttpUser, constant, events, task

MODE = Path(__file__).with_name("mode.json")
mode: dict = {}
names = iter(())


@events.test_start.add_listener
def begin(environment, **_):
    global names
    mode.clear()
    mode.update(json.loads(MODE.read_text()), begun=time.monotonic())
    worker = getattr(environment.runner, "worker_index", 0)
    names = iter([f"/{'bad' if number % 2 else 'good'}/{worker}/{number}" for number in range(mode.get("names", 0))])


class Visitor(HttpUser):
    wait_time = constant(0.2)

    @task
    def visit(self):
        for name in [next(names, "") for _ in range(50)]:
            error = ValueError("refused") if name.startswith("/bad") else None
            if name:
                events.request.fire(
                    request_type="GET", name=name, response_time=5, response_length=0, exception=error, context={}
                )
        seconds = time.monotonic() - mode["begun"]
        self.client.get("/status/503" if seconds > mode.get("fails_after", 3600) else "/fast", name="/front")
        if mode.get("hangs"):
            self.client.post("/hang", name="/checkout")

    def on_stop(self):
        if "goodbye" in mode:
            gevent.sleep(mode["seconds"])
            self.client.post(mode["goodbye"], name="/logout")


@events.test_stop.add_listener
def upload(**_):
    gevent.sleep(mode.get("upload", 0))
    print("uploaded", flush=True)
