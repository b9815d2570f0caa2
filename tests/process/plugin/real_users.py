"""Users that cannot be made, die, finish, or miss their pacing, in a real Locust; print what the meters counted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import gevent
from locust import SequentialTaskSet, TaskSet, User, constant, constant_pacing, constant_throughput, task
from locust.env import Environment
from locust.event import Events
from locust.exception import StopUser
from locust_kit.meters import Meters

PATIENCE_SECONDS = 60

ACCOUNTS: list[str] = []


class Buyer(User):
    """Cannot be made once the accounts are gone."""

    wait_time = constant(60)

    def __init__(self, environment: Environment) -> None:
        self.account = ACCOUNTS.pop()
        super().__init__(environment)

    @task
    def index(self) -> None:
        """Nothing to do."""


class Sleeper(User):
    def on_start(self) -> None:
        raise KeyError("token")


class Timed(User):
    def on_start(self) -> None:
        raise gevent.Timeout(1)


class Once(User):
    @task
    def only(self) -> None:
        raise StopUser


class OwnStop(User):
    @task
    def only(self) -> None:
        self.stop()


class Forum(TaskSet):
    @task
    def read(self) -> None:
        json.loads("{")  # raised in the standard library

    @task
    def leave(self) -> None:
        self.interrupt(reschedule=False)  # type: ignore[no-untyped-call]


class Broken(TaskSet):
    def on_start(self) -> None:
        raise ValueError("no forum 1234")

    @task
    def never(self) -> None:
        """Never reached."""


class Reader(User):
    wait_time = constant(0.01)
    tasks = [Forum, Broken]  # noqa: RUF012

    @task
    def front(self) -> None:
        raise KeyError("in_stock")


class Quitter(User):
    wait_time = constant(0.05)

    @task
    def front(self) -> None:
        if self.environment.runner is not None and self.environment.runner.user_count == 5:
            self.environment.runner.quit()


class GoodbyeFails(User):
    wait_time = constant(0.01)

    @task
    def front(self) -> None:
        """Nothing to do."""

    def on_stop(self) -> None:
        raise RuntimeError("no logout")


class Steady(User):
    wait_time = constant_throughput(20)

    @task
    def front(self) -> None:
        gevent.sleep(0.005)


class Late(User):
    wait_time = constant_pacing(0.1)

    @task
    def front(self) -> None:
        gevent.sleep(0.2)


class Uneven(User):
    """Long and short runs in turn, each within its pacing: no start is missed."""

    wait_time = constant_pacing(0.2)

    @task
    class Turns(SequentialTaskSet):
        @task
        def long(self) -> None:
            gevent.sleep(0.15)

        @task
        def short(self) -> None:
            gevent.sleep(0.01)


class Hung(User):
    wait_time = constant_pacing(0.1)

    @task
    def front(self) -> None:
        gevent.sleep(60)


class Visitor(User):
    """Enters a set of tasks with a wait of its own, which is not held against its pacing."""

    wait_time = constant_pacing(0.1)

    @task
    class Aside(TaskSet):
        wait_time = constant(0.01)

        @task
        def read(self) -> None:
            gevent.sleep(0.3)
            self.interrupt(reschedule=False)  # type: ignore[no-untyped-call]


class Subclass(Steady):
    @task
    def other(self) -> None:
        """Of a class that inherits its pacing."""


Done = Callable[[dict[str, Any]], bool]


def after(seconds: float) -> Done:
    """Hold once this long has passed: what is counted here is a time."""
    end = []

    def over(_: dict[str, Any]) -> bool:
        end.append(gevent.get_hub().loop.now())
        return bool(end[-1] - end[0] >= seconds)

    return over


def users(name: str, count: int) -> Done:
    return lambda document: sum(part[name] for part in document["users"]["classes"].values()) >= count


def runs(count: int) -> Done:
    return lambda document: sum(part["runs"] for part in document["users"]["tasks"].values()) >= count


SCENES: dict[str, tuple[list[type[User]], int, Done]] = {
    "not_made": ([Buyer], 5, users("not_made", 3)),
    "on_start": ([Sleeper], 4, users("died", 4)),
    "timeout": ([Timed], 2, users("died", 2)),
    "finished": ([Once], 3, users("finished", 3)),
    "own_stop": ([OwnStop], 2, users("finished", 2)),
    "tasks": ([Reader], 2, runs(100)),
    "quitter": ([Quitter], 5, users("stopped", 5)),
    "goodbye": ([GoodbyeFails], 2, runs(4)),
    "steady": ([Steady], 4, after(2)),
    "subclass": ([Subclass], 4, after(2)),
    "late": ([Late], 4, after(2)),
    "uneven": ([Uneven], 4, after(2)),
    "hung": ([Hung], 1, after(1)),
    "visitor": ([Visitor], 1, after(2)),
}


def play(meters: Meters, environment: Environment, classes: list[type[User]], count: int, done: Done) -> dict[str, Any]:
    environment.user_classes = classes
    ACCOUNTS[:] = ["alice", "bob"]
    meters.begin()
    runner = environment.create_local_runner()
    runner.start(count, 100)
    with gevent.Timeout(PATIENCE_SECONDS):
        while not done(meters.document()):
            gevent.sleep(0.02)
    document = meters.document()
    runner.quit()
    gevent.sleep(0.05)
    document["end"] = meters.document()
    environment.runner = None
    return document


def main() -> None:
    environment = Environment(user_classes=[], events=Events())
    meters = Meters()
    meters.listen(environment)
    found = {name: play(meters, environment, *scene) for name, scene in SCENES.items() if name in sys.argv[1:]}
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
