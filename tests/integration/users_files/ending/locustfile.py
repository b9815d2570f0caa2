"""Users of a quick page, and code on the master that ends a run as mode.json says."""

import json
import sys
from pathlib import Path

import gevent
from locust import FastHttpUser, constant, events, task
from locust.runners import WorkerRunner

MODE = Path("/mnt/locust/mode.json")


class Visitor(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def front(self):
        self.client.get("/")


def watch(environment):
    while environment.stats.total.num_requests < 30:
        gevent.sleep(0.2)
    mode = json.loads(MODE.read_text())
    if mode == "quit":
        environment.process_exit_code = 1
        environment.runner.quit()
    elif mode == "stop":
        environment.runner.stop()
    elif mode == "exit":
        sys.exit(3)


@events.test_start.add_listener
def begin(environment, **_):
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(watch, environment)
