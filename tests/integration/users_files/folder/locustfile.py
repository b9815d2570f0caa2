"""Reads and writes beside itself, in a folder with a name of its own; in the end it has no room left."""

import sqlite3
from itertools import count
from pathlib import Path

from locust import HttpUser, constant, events, task
from locust.runners import MasterRunner
from zz_last.part import KNOWN

HERE = Path(__file__).resolve().parent
NUMBER = count()
USERS = (HERE / "data: of 'us,ers'" / "a b.csv").read_text().split()

with sqlite3.connect("seen.db") as database:
    database.execute("insert into seen values (?)", (KNOWN,))


@events.test_stop.add_listener
def sum_up(environment, **_):
    if isinstance(environment.runner, MasterRunner):
        Path("results/sum: all.txt").write_text("done")


class Reader(HttpUser):
    wait_time = constant(0.2)

    def on_start(self):
        (HERE / "results" / "shots").mkdir(exist_ok=True)

    @task
    def read(self):
        number = next(NUMBER)
        self.client.get("/", name=USERS[0])
        with open("results/log.csv", "a") as log:
            log.write(f"{number}\n")
        if number > 3:
            (HERE / "results" / "shots" / f"{number}.png").write_bytes(b"p" * 30_000_000)
