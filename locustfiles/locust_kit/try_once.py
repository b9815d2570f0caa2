"""One user of each class, each task once, each request printed: the quickest look at a locustfile."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gevent
from locust import TaskSet, User, events
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

from locust_kit.user_code import load

TASK_SECONDS = 60
"""The longest that one task may take here, so that a hanging target ends in a line and not in silence."""


class Printer:
    """A printer of each request as it ends, and a count of them."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.errors = 0

    def request(
        self, request_type: str, name: str, response_time: float, response_length: int, exception: Any, **more: Any
    ) -> None:
        """Print and count a request; a listener of `events.request`."""
        self.requests += 1
        status = getattr(more.get("response"), "status_code", None) or "-"
        mark = "ok  "
        if exception:
            self.failures += 1
            mark = "FAIL"
        print(f"  {mark} {request_type:<6} {status!s:>3} {response_time:8.1f} ms {response_length or 0:>9} B  {name}")
        if exception:
            print(f"       {type(exception).__name__}: {exception}")

    def error(self, text: str) -> None:
        """Print and count an error in the user's own code."""
        self.errors += 1
        print(f"  FAIL {text}")


def each_once(tasks: Iterable[Any]) -> list[Any]:
    """Return the tasks in their order, without the repetitions that stand for weights."""
    return list(dict.fromkeys(tasks))


def run_task(task: Any, owner: Any, printer: Printer) -> None:
    """Run one task of `owner` (a User or a TaskSet); a TaskSet runs each of its own once."""
    name = getattr(task, "__qualname__", str(task))
    try:
        with gevent.Timeout(TASK_SECONDS, TimeoutError(f"took longer than {TASK_SECONDS} s")):
            if inspect.isclass(task) and issubclass(task, TaskSet):
                run_tasks(task(owner), printer)
            else:
                print(f" {name}")
                task(owner)
    except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately):
        return
    except (StopUser, StopTest):
        raise
    except Exception as error:  # noqa: BLE001  the user's code may raise anything
        frame = traceback.extract_tb(error.__traceback__)[-1]
        printer.error(f"{name}: {type(error).__name__}: {error} ({Path(frame.filename).name} line {frame.lineno})")


def run_tasks(owner: Any, printer: Printer) -> None:
    """Run on_start, each task once, and on_stop of a User or a TaskSet."""
    owner.on_start()
    try:
        for task in each_once(owner.tasks):
            run_task(task, owner, printer)
    finally:
        owner.on_stop()


def try_user(user_class: type[User], environment: Environment, printer: Printer) -> None:
    """Run one user of a class through one pass."""
    host = environment.host or user_class.host
    print(f"{user_class.__name__} → {host}")
    try:
        run_tasks(user_class(environment), printer)
    except (StopUser, StopTest) as stop:
        print(f"  {type(stop).__name__} ended the pass")
    except Exception as error:  # noqa: BLE001  on_start or the class itself
        printer.error(f"{user_class.__name__}: {type(error).__name__}: {error}")


def main() -> int:
    """Try each User class; exit status 0 when at least one request was made and none failed."""
    loaded = load(os.environ["LOCUST_LOCUSTFILE"])
    for problem in loaded.problems:
        place = f"{problem.file}:{problem.line}" if problem.line else problem.file
        print(f"{place}: {problem.text} → {problem.fix}", file=sys.stderr)
    if loaded.problems:
        return 1
    options = get_parser().parse_args([])
    wanted = options.user_classes or list(loaded.users)
    environment = Environment(
        user_classes=[loaded.users[name] for name in wanted if name in loaded.users],
        events=events,
        host=options.host,
        tags=options.tags,
        exclude_tags=options.exclude_tags,
        parsed_options=options,
        catch_exceptions=False,
    )
    runner = environment.create_local_runner()
    printer = Printer()
    events.request.add_listener(printer.request)
    events.init.fire(environment=environment, runner=runner, web_ui=None)
    events.test_start.fire(environment=environment)
    environment._filter_tasks_by_tags()  # noqa: SLF001  what a runner does when it starts users
    for user_class in environment.user_classes:
        try_user(user_class, environment, printer)
    events.test_stop.fire(environment=environment)
    print(f"{printer.requests} requests, {printer.failures} failed, {printer.errors} errors in the locustfile")
    if not printer.requests:
        print("No request was made.", file=sys.stderr)
    return 0 if printer.requests and not printer.failures and not printer.errors else 1
