"""Users of both clients that do what a script beside this file says: `which.json` names it, from run to run."""

import importlib
import json
from pathlib import Path

import gevent
from locust import FastHttpUser, HttpUser, constant

WHICH = Path(__file__).with_name("which.json")


class Scripted:
    wait_time = constant(0)
    round = 0

    def on_start(self):
        self.script = importlib.import_module(json.loads(WHICH.read_text()))

    def on_stop(self):
        self.script.goodbye(self)


def go(user):
    user.round += 1
    if user.round > user.script.ROUNDS:
        gevent.sleep(3600)  # until the run is stopped: what was sent is then known to the request
    getattr(user.script, type(user).__name__)(user)


class Slow(Scripted, HttpUser):
    host = "http://mock-target:8080"
    tasks = [go]


class Fast(Scripted, FastHttpUser):
    host = "http://mock-target:8080"
    tasks = [go]
