"""Fifty runs in one process, with failures written and pushed; print the open descriptors after some, as JSON."""

# ruff: noqa: I001 -- gevent first
from __future__ import annotations

from tests.process.plugin.loopback import serving
from tests.process.plugin.real_push import KEY, Receiver, until

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant, task
from locust.env import Environment
from locust.event import Events

from locust_kit.master import MasterPart

RUNS = 50


def fail(link: Any) -> None:
    while link.recv(4096):
        link.sendall(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
    link.close()


class Shopper(FastHttpUser):
    host = f"http://127.0.0.1:{serving(fail)}"
    wait_time = constant(0.02)

    @task
    def ask(self) -> None:
        self.client.get("/cart")


def descriptors() -> int:
    gc.collect()  # of Locust's own users: cycles, whose connections close with them
    return len(list(Path("/proc/self/fd").iterdir()))


def settled() -> int:
    """The number once it has stayed the same for a second: connections of users that are gone close after them."""
    before = -1
    while before != (now := descriptors()):
        before = now
        gevent.sleep(1)
    return now


def main() -> None:
    folder = Path(os.environ["KIT_RUNS_DIR"])
    (folder / "key").write_text(KEY)
    receiver = Receiver()
    os.environ.update(KIT_PUSH_URL=f"http://127.0.0.1:{serving(receiver)}/v1", KIT_PUSH_KEY_FILE=str(folder / "key"))
    environment = Environment(user_classes=[Shopper], events=Events())
    runner = environment.create_local_runner()
    MasterPart(environment, {}).listen()
    found = {}
    for run in range(1, RUNS + 1):
        environment.stats.clear_all()  # Locust does so only in a greenlet of `start`
        runner.start(2, 100)
        until(lambda: runner.stats.total.num_failures >= 4)
        runner.stop()
        if run in (5, RUNS):
            environment.stats.clear_all()  # it keeps the first exception of each error, with its user's connection
            found[run] = settled()
    until(lambda: len(list(folder.glob("*/end.json"))) == RUNS)
    ended = len(list(folder.glob("*/end.json")))
    rows = sum(len(path.read_text().splitlines()) for path in folder.glob("*/failures.ndjson"))
    until(lambda: len(receiver.rows) == rows)
    sys.stdout.write(json.dumps({"descriptors": found, "ended": ended, "rows": rows, "received": len(receiver.rows)}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
