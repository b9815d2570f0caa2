"""Ask a server that never answers with both HTTP users; print what came of it, as JSON."""

# ruff: noqa: I001 -- gevent first
from __future__ import annotations

from tests.unit.plugin.loopback import KEPT, full_queue, serving

import json
import os
import sys
from typing import Any

import gevent
from locust import FastHttpUser, HttpUser, task
from locust.env import Environment
from locust.event import Events

from locust_kit.connections import Connections
from locust_kit.failures.classify import classify


def outcome(kind: type[HttpUser | FastHttpUser], port: int, patience: float, **own: Any) -> str:
    """The class of the failure, or that the user still waits."""
    environment = Environment(events=Events())
    found: list[str] = []

    def listen(exception: BaseException, response: Any, **_: Any) -> None:
        inner = (exception, exception.__cause__, exception.__context__, getattr(exception, "original", None))
        ours = any(isinstance(one, gevent.Timeout) for one in inner)
        found.append("waits" if ours else str(classify(exception, response.status_code).kind))

    environment.events.request.add_listener(listen)

    class Asking(kind):  # type: ignore[misc, valid-type]
        host = "http://unused"
        locals().update(own.get("attributes", {}))

        @task
        def nothing(self) -> None: ...

    user = Asking(environment)
    with gevent.Timeout(patience, exception=False):
        user.client.get(f"http://127.0.0.1:{port}/", **own.get("arguments", {}))
    return found[0] if found else "waits"


def pool_of(kind: type[HttpUser | FastHttpUser]) -> int:
    class Asking(kind):  # type: ignore[misc, valid-type]
        host = "http://unused"

        @task
        def nothing(self) -> None: ...

    user = Asking(Environment(events=Events()))
    if kind is FastHttpUser:
        size: int = user.client.client.clientpool.client_args["concurrency"]
    else:
        size = user.client.get_adapter("http://")._pool_maxsize
    return size


def main() -> None:
    said = Connections.of(os.environ).install()
    hanging, dropping = serving(KEPT.append), full_queue()
    patience = float(sys.argv[1])
    found = {"said": said}
    for kind in (HttpUser, FastHttpUser):
        name = kind.__name__
        found[f"{name}, no answer"] = outcome(kind, hanging, patience)
        found[f"{name}, no connection"] = outcome(kind, dropping, patience)
        found[f"{name}, pool"] = str(pool_of(kind))
    found["HttpUser, its own argument"] = outcome(HttpUser, hanging, patience, arguments={"timeout": 60})
    own = {"network_timeout": 60.0}
    found["FastHttpUser, its own attribute"] = outcome(FastHttpUser, hanging, patience, attributes=own)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
