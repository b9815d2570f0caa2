"""Users who lack accounts, raise, finish or are late, as `mode.json` beside this file says from the next run on."""

import json
from pathlib import Path

from locust import HttpUser, constant, constant_throughput, events, task
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

MODE = Path(__file__).with_name("mode.json")
mode = {}
accounts = []
quitted = []


@events.init.add_listener
def listen(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message("accounts", lambda msg, **_: accounts.extend(msg.data))


@events.test_start.add_listener
def begin(environment, **_):
    mode.clear()
    mode.update(json.loads(MODE.read_text()))
    rate = mode.get("rate")
    Buyer.wait_time = constant_throughput(rate) if rate else constant(0.2)
    if isinstance(environment.runner, MasterRunner):
        environment.runner.send_message("accounts", ["alice"])  # to the workers of this moment
    elif "accounts" in mode:
        accounts[:] = ["bob"] * mode["accounts"]
    quitted.clear()


class Buyer(HttpUser):
    def __init__(self, environment):
        if "accounts" in mode:
            accounts.pop()
        super().__init__(environment)

    def on_start(self):
        if mode.get("on_start") == "raises":
            self.token = self.client.get("/fast").json()["token"]

    @task
    def buy(self):
        if mode.get("dealt"):
            accounts[0]
        stock = self.client.get(f"/slow?ms={mode.get('slow_ms', 10)}", name="/stock")
        if mode.get("raises"):
            stock.json()["in_stock"]
        if mode.get("quits") and not quitted:
            quitted.append(self)
            self.environment.runner.quit()
        if mode.get("finishes"):
            raise StopUser
