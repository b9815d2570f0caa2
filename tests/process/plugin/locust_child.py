"""The other side of locust_process: reads steps, runs them as Locust's users would, writes a report.

Each line of the input is run in a process of its own, forked from this one, which has imported Locust and done nothing
else: that takes a tenth of the time of a new interpreter.
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import sys
import traceback
from typing import Any

from locust import FastHttpUser, HttpUser  # first of all: it patches what the others import

# isort: split
import gevent
from gevent.monkey import get_original
from geventhttpclient.client import HTTPClientPool
from locust.env import Environment
from locust_kit import connections, shared_tls
from urllib3 import PoolManager

CLIENTS: dict[str, type] = {"FastHttpUser": FastHttpUser, "HttpUser": HttpUser}


def trusting_nobody(**_: Any) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


OWN: dict[str, Any] = {
    "ssl_context_factory": staticmethod(trusting_nobody),
    "client_pool": HTTPClientPool(ssl_context_factory=trusting_nobody),
    "pool_manager": PoolManager(assert_hostname=False),
}


def contexts() -> int:
    gc.collect()
    return sum(isinstance(thing, ssl.SSLContext) for thing in gc.get_objects())


class Steps:
    def __init__(self) -> None:
        self._environment = Environment()
        self._environment.events.request.add_listener(self._note)
        self._noted: list[dict[str, Any]] = []
        self._users: list[Any] = []

    def run(self, step: dict[str, Any]) -> list[dict[str, Any]]:
        self._noted = []
        own = {step["own"]: OWN[step["own"]]} if step["own"] else {}
        attributes = {"host": step["url"], "abstract": False, **step["attributes"], **own}
        tested = type("Tested", (CLIENTS[step["client"]],), attributes)
        for _ in range(step["users"]):
            self._send(tested(self._environment), step)
        return self._noted

    def _send(self, user: Any, step: dict[str, Any]) -> None:
        self._users.append(user)
        for name, value in step["session"].items():
            setattr(user.client, name, value)
        arguments = {name: tuple(it) if isinstance(it, list) else it for name, it in step["arguments"].items()}
        for _ in range(step["rounds"]):
            sending = [
                gevent.spawn(user.client.request, step["method"], "/asked", **arguments) for _ in range(step["at_once"])
            ]
            gevent.joinall(sending, raise_error=True)

    def _note(self, response: Any, exception: Any, **_: Any) -> None:
        self._noted.append(
            {
                "status": response.status_code,
                "error": f"{type(exception).__name__}: {exception}" if exception else "",
                "body": json.loads(response.text or "{}") if response.status_code == 200 else {},
            }
        )


def report(asked: list[dict[str, Any]]) -> dict[str, Any]:
    before = contexts()
    said = [
        shared_tls.install(shared_tls.TlsSettings.from_environ(os.environ)),
        connections.install(connections.ConnectionSettings.from_environ(os.environ)),
    ]
    steps = Steps()
    outcomes = [steps.run(step) for step in asked]
    return {
        "said": said,
        "outcomes": outcomes,
        "contexts": contexts() - before,
        "retried": {name: getattr(connections.RETRIED, name) for name in ("http_user", "fast_http_user")},
    }


def in_a_fork(asked: dict[str, Any]) -> None:
    """Answer by one line, in a child of this process that ends with it."""
    child = get_original("os", "fork")()
    if child:
        get_original("os", "waitpid")(child, 0)
        return
    gevent.reinit()
    os.environ.update(asked["environ"])
    try:
        answer = report(asked["steps"])
    except BaseException:  # noqa: BLE001  whatever it is, the test shows it
        answer = {"failed": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        in_a_fork(json.loads(line))


if __name__ == "__main__":
    main()
