"""One user of each class, each task once, each request printed: the quickest look at a locustfile."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from locust import FastHttpUser, HttpUser, TaskSet, User, events
from locust.argument_parser import get_parser
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

from locust_kit.clean_request import clean
from locust_kit.patches import Patches
from locust_kit.time_limit import TookTooLongError, place, within
from locust_kit.user_code import load

PART_SECONDS = 60.0
"""The longest that one part may take here (a task, `on_start`, a listener): a hanging target ends in a line."""

_NO_TARGET = 2


class Printer:
    """A printer of each request as it ends, and a count of them."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.errors = 0

    def request(
        self,
        request_type: str = "",
        name: str = "",
        response_time: float | None = None,
        response_length: int | None = 0,
        exception: Any = None,
        **more: Any,
    ) -> None:
        """Print and count a request; a listener of `events.request`."""
        self.requests += 1
        request_type, name, time_ms, length = clean(request_type, name, response_time, response_length)
        took = "-" if time_ms is None else f"{time_ms:.1f}"
        status = getattr(more.get("response"), "status_code", None) or "-"
        mark = "ok  "
        if exception:
            self.failures += 1
            mark = "FAIL"
        print(f"  {mark} {request_type:<6} {status!s:>3} {took:>8} ms {length:>9} B  {name}")
        if exception:
            print(f"       {type(exception).__name__}: {exception}")

    def error(self, text: str) -> None:
        """Print and count an error in the user's own code."""
        self.errors += 1
        print(f"  FAIL {text}")

    def run(self, name: str, part: Callable[[], object]) -> bool:
        """Run a part of the user's code within its limit; print what went wrong, and return whether nothing did.

        Raises:
            StopUser, StopTest: the part asked for it.

        """
        error = within(PART_SECONDS, name, part)
        if error is None or isinstance(error, InterruptTaskSet | RescheduleTask | RescheduleTaskImmediately):
            return True
        if isinstance(error, StopUser | StopTest):
            raise error
        where = f" ({place(traceback.extract_tb(error.__traceback__))})" if error.__traceback__ else ""
        kind = "" if isinstance(error, TookTooLongError) else f"{type(error).__name__}: "
        self.error(f"{name}: {kind}{error}{where}")
        return False


def each_once(tasks: Iterable[Any]) -> list[Any]:
    """Return the tasks in their order, without the repetitions that stand for weights."""
    return list(dict.fromkeys(tasks))


def run_task(task: Any, owner: Any, printer: Printer) -> None:
    """Run one task of `owner` (a User or a TaskSet); a TaskSet runs each of its own once."""
    name = getattr(task, "__qualname__", str(task))
    if inspect.isclass(task) and issubclass(task, TaskSet):
        made: list[Any] = []
        if printer.run(f"{name}.__init__", lambda: made.append(task(owner))):
            run_tasks(name, made[0], printer)
        return
    print(f" {name}")
    printer.run(name, partial(task, owner))


def run_tasks(name: str, owner: Any, printer: Printer) -> None:
    """Run on_start, each task once, and on_stop of a User or a TaskSet; nothing more where on_start fails."""
    started = True
    try:
        started = printer.run(f"{name}.on_start", owner.on_start)
        for task in each_once(owner.tasks) if started else ():
            run_task(task, owner, printer)
    finally:
        if started:
            printer.run(f"{name}.on_stop", owner.on_stop)


def try_user(name: str, user: User, printer: Printer) -> None:
    """Run one user through one pass."""
    print(f"{name} → {user.host}")
    try:
        run_tasks(name, user, printer)
    except (StopUser, StopTest) as stop:
        print(f"  {type(stop).__name__} ended the pass")


def users_of(environment: Environment, printer: Printer) -> Iterator[tuple[str, User]]:
    """Make one user of each class, as Locust makes them: the host of the call replaces that of the class."""
    for user_class in environment.user_classes:
        name = user_class.__name__
        if environment.host:
            user_class.host = environment.host
        made: list[User] = []
        with suppress(StopUser, StopTest):
            printer.run(f"{name}.__init__", partial(_make, user_class, environment, made))
        yield from ((name, user) for user in made)


def _make(user_class: type[User], environment: Environment, made: list[User]) -> None:
    made.append(user_class(environment))


def note_answers(answers: list[Any]) -> None:
    """Have each answer noted that a request with `catch_response=True` gets."""

    def request(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if kwargs.get("catch_response"):
            answers.append(answer)
        return answer

    for session in (HttpSession, FastHttpSession):
        Patches().wrap(session, "request", request)


def name_unreported(answers: Iterable[Any], printer: Printer) -> None:
    """Print the answers that no `with` block reported: Locust knows nothing of them."""
    for answer in answers:
        if not getattr(answer, "_entered", True):
            meta = answer.request_meta
            asked, why = f"{meta['request_type']} {meta['name']}", "catch_response=True without `with`"
            printer.error(f"{asked}: answered {answer.status_code}, and was never reported: {why}")


def without_host(environment: Environment) -> str:
    """Return the name of the first class that makes HTTP requests and has nowhere to send them; "" when all have."""
    for user_class in environment.user_classes:
        if issubclass(user_class, HttpUser | FastHttpUser) and not (environment.host or user_class.host):
            return user_class.__name__
    return ""


def run_pass(environment: Environment, printer: Printer) -> None:
    """Fire Locust's events in Locust's order around one pass of one user of each class."""
    runner = environment.create_local_runner()
    fire = environment.events
    fire.request.add_listener(printer.request)
    printer.run("events.init", lambda: fire.init.fire(environment=environment, runner=runner, web_ui=None))
    environment._filter_tasks_by_tags()  # noqa: SLF001  what a runner does when it starts users
    printer.run("events.test_start", lambda: fire.test_start.fire(environment=environment))
    users = list(users_of(environment, printer))
    printer.run("events.spawning_complete", lambda: fire.spawning_complete.fire(user_count=len(users)))
    for name, user in users:
        try_user(name, user, printer)
    printer.run("events.test_stop", lambda: fire.test_stop.fire(environment=environment))


def main() -> int:
    """Try each User class.

    Return 0 when at least one request was made and none failed, 2 when a class has no host, else 1.
    """
    loaded = load(os.environ["LOCUST_LOCUSTFILE"])
    for problem in loaded.problems:
        place_of_it = f"{problem.file}:{problem.line}" if problem.line else problem.file
        print(f"{place_of_it}: {problem.text} → {problem.fix}", file=sys.stderr)
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
    if homeless := without_host(environment):
        text = "has no host, and none was given → make try HOST=http://<your service>, or MOCK=1"
        print(f"the class {homeless} {text}", file=sys.stderr)
        return _NO_TARGET
    printer = Printer()
    answers: list[Any] = []
    note_answers(answers)
    with suppress(StopTest):
        run_pass(environment, printer)
    name_unreported(answers, printer)
    print(f"{printer.requests} requests, {printer.failures} failed, {printer.errors} errors in the locustfile")
    if not printer.requests:
        print("No request was made.", file=sys.stderr)
    return 0 if printer.requests and not printer.failures and not printer.errors else 1
