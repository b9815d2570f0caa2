"""Give each row of a table to one worker, and there to one user at a time.

The master sends the rows to the workers when a test starts. Without workers, this process uses all rows.
"""

import csv
import logging
from collections import deque
from pathlib import Path
from typing import Any

from locust import FastHttpUser, between, events, task
from locust.runners import MasterRunner, WorkerRunner

TABLE = Path(__file__).with_name("customers.csv")
MESSAGE = "rows"
rows: deque[dict[str, str]] = deque()


@events.init.add_listener
def listen(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message(MESSAGE, take)


def take(msg: Any, **_: Any) -> None:
    rows.clear()
    rows.extend(msg.data)
    logging.info("this worker has %d rows", len(rows))


@events.test_start.add_listener
def deal(environment: Any, **_: Any) -> None:
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        return
    with TABLE.open(newline="") as file:
        table = list(csv.DictReader(file))
    if not isinstance(runner, MasterRunner):
        rows.extend(table)
        return
    workers = [client.id for client in runner.clients.ready]
    for place, worker in enumerate(workers):
        runner.send_message(MESSAGE, table[place :: len(workers)], worker)


class Customer(FastHttpUser):
    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)

    @task
    def sign_in(self) -> None:
        if not rows:
            return  # other users have all rows
        row = rows.popleft()
        try:
            self.client.post("/echo/sign-in", name="/sign-in", json=row, context={"customer": row["name"]})
        finally:
            rows.append(row)
