"""A Locust with the plugin and users that fail; print what it counted, what a receiver got, and the status, as JSON."""

# ruff: noqa: I001 -- gevent first
from __future__ import annotations

from tests.process.plugin.loopback import serving
from tests.process.plugin.real_push import KEY, QUERY, Receiver, until

import json
import os
import sys
from typing import Any

from locust import HttpUser, constant, task
from locust.env import Environment
from locust.event import Events

from locust_kit import run_folder
from locust_kit.master import MasterPart


def fail(link: Any) -> None:
    while link.recv(4096):
        link.sendall(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")


class Shopper(HttpUser):
    host = f"http://127.0.0.1:{serving(fail)}"
    wait_time = constant(0.05)

    @task
    def ask(self) -> None:
        self.client.get("/cart")


def run_once(environment: Environment) -> None:
    runner = environment.runner
    assert runner is not None
    runner.start(3, 100)
    until(lambda: runner.stats.total.num_failures > 10)
    runner.stop()


def main() -> None:
    receiver = Receiver("cut")
    folder = run_folder.RUNS
    (folder / "key").write_text(KEY)
    if sys.argv[1] == "on":
        url = f"http://127.0.0.1:{serving(receiver)}/v1?{QUERY}"
        os.environ.update(KIT_PUSH_URL=url, KIT_PUSH_KEY_FILE=str(folder / "key"))
    os.environ["KIT_LABELS"] = "env=staging"
    environment = Environment(user_classes=[Shopper], events=Events())
    environment.create_local_runner()
    master = MasterPart(environment, {})
    master.listen()
    run_once(environment)
    if sys.argv[1] == "on":
        until(lambda: master._status()["push"]["sent_rows"] == environment.stats.total.num_failures)
    environment.events.quitting.fire(environment=environment, reverse=True)
    environment.events.quit.fire(exit_code=0)
    found = {
        "failures": environment.stats.total.num_failures,
        "received": len(receiver.rows),
        "runs": sorted({key.rpartition("-")[0] for key in receiver.accepted}),
        "run_id": master._status()["run"]["run_id"],
        "labels": receiver.labels,
        "push": master._status()["push"],
    }
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
