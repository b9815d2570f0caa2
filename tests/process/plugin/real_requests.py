"""Users that make each kind of request so many times, then wait; print the plugin's account of them, and Locust's."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, HttpUser, User, task
from locust.env import Environment
from locust.event import Events
from locust.exception import StopUser
from locust_kit import connections
from locust_kit.meters.flights import FLIGHTS
from locust_kit.meters.requests import RequestMeter

PATIENCE_SECONDS = 60
TIMES = 3


def good(client: Any) -> None:
    client.get("/fast?ms=1")
    client.get("/fast", params={"ms": 1}, name="named")
    client.get("/status/500")
    with client.get("/status/404", catch_response=True) as response:
        response.success()


def without_with(client: Any) -> None:
    client.get("/status/503", catch_response=True, name="dropped")


def held(client: Any) -> None:
    client.held = client.get("/status/503", catch_response=True, name="held")


def some_without_with(client: Any) -> None:
    for status in (200, 500):
        response = client.get(f"/status/{status}", catch_response=True, name="some")
        if response.ok:
            with response:
                pass


def later(client: Any) -> None:
    first = client.get("/fast", catch_response=True, name="first")
    second = client.get("/slow?ms=5", catch_response=True, name="second")
    with first, second:
        pass


def left(client: Any) -> None:
    with contextlib.suppress(KeyError), client.get("/fast", catch_response=True, name="left"):
        raise KeyError


def redirected(client: Any) -> None:
    client.get("/redirect?times=3", name="redirected")
    client.get("/redirect-loop", name="loop")
    client.get("/redirect?times=3", name="not followed", allow_redirects=False)


def closed(client: Any) -> None:
    client.get("/close", name="closed")


def impossible(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.get("http://[half", name="impossible")


def gives_up(client: Any) -> None:
    with gevent.Timeout(0.1, exception=False):  # FastHttpUser reports it
        client.post("/hang", name="given up")


def ends_its_user(client: Any) -> None:
    client.get("/fast", name="ends its user")


def hangs(client: Any) -> None:
    client.post("/hang?after=body", name="hangs")


def of(client: type[User], step: Callable[[Any], None], done: list[str]) -> type[User]:
    class Doing(client):  # type: ignore[misc,valid-type]
        @task
        def do(self) -> None:
            for _ in range(TIMES):
                done.append(step.__name__)
                step(self.client)
            done.append("over")
            gevent.sleep(PATIENCE_SECONDS)

    Doing.__name__ = f"{client.__name__}_{step.__name__}"
    return Doing


def account(step: Callable[[Any], None], environment: Environment, meter: RequestMeter) -> dict[str, Any]:
    """Let one user of each client make the step, and return what was counted when both are done, and at the end."""
    done: list[str] = []
    environment.user_classes = [of(client, step, done) for client in (HttpUser, FastHttpUser)]
    runner = environment.runner
    assert runner is not None
    meter.begin()
    runner.start(2, 100)
    with gevent.Timeout(PATIENCE_SECONDS):
        while not is_over(step, done):
            gevent.sleep(0.02)
    during = meter.document()
    runner.stop()
    gc.collect()  # as a worker does at the end of a run
    reported = environment.stats.total.num_requests
    at_target = asked("/_mock/counts")["requests"]
    asked("/_mock/reset", "POST")
    return {"during": during, "end": meter.document(), "reported": reported, "target": at_target}


def is_over(step: Callable[[Any], None], done: list[str]) -> bool:
    if step is hangs:
        return bool(asked("/_mock/counts")["behaviours"] == {"hang": 2})
    if step is ends_its_user:
        return done.count("ends_its_user") == 2 and not FLIGHTS.flying
    return done.count("over") == 2


def asked(path: str, method: str = "GET") -> Any:
    address = urlsplit(sys.argv[1])
    with contextlib.closing(HTTPConnection(address.hostname or "", address.port)) as connection:
        connection.request(method, path)
        return json.load(connection.getresponse())


def end_user(name: str, **_: Any) -> None:
    if name == "ends its user":
        raise StopUser


def main() -> None:
    connections.install(connections.ConnectionSettings.from_environ(os.environ))
    events = Events()
    environment = Environment(events=events, host=sys.argv[1], user_classes=[HttpUser])
    environment.create_local_runner()
    meter = RequestMeter(clean=lambda text: text.replace("named", "called"))
    meter.listen(environment)

    events.request.add_listener(end_user)
    try:
        found = {name: account(globals()[name], environment, meter) for name in sys.argv[2:]}
        sys.stdout.write(json.dumps(found))
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  users go on in their greenlets, so it would never end
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
