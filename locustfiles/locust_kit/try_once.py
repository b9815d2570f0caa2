"""One user of each class, each task once, each request printed: the quickest look at a locustfile."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from gevent import GreenletExit
from locust import MarkovTaskSet, TaskSet, User, events
from locust.argument_parser import get_parser
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.event import EventHook
from locust.exception import (
    CatchResponseError,
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.runners import STATE_STOPPED, LocalRunner
from locust.stats import RequestStats
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, DefaultTaskSet
from locust.user.users import PytestUser
from requests import RequestException

from locust_kit.arguments import secrets_of
from locust_kit.clean_request import clean, clean_error, is_failed, take_over
from locust_kit.failures.settings import Cleaner
from locust_kit.guard import listen_first
from locust_kit.patches import Patches
from locust_kit.target_guard import guard_process
from locust_kit.texts import attribute, plural, safe
from locust_kit.time_limit import TookTooLongError, end_process_after, place, within
from locust_kit.user_code import Loaded, load, needs_host
from locust_kit.visible_text import visible

PART_SECONDS = 60.0
"""Time limit of one part (a task, `on_start`, a listener): a target that does not answer becomes one line."""

_NO_TARGET = 2
_EXIT_SECONDS = 5.0  # for exit handlers of the test; a thread that never ends would keep the process forever
_LONGEST, _LONGEST_READ = 300, 10_000


class Printer:
    """Prints each request at its end, and counts requests, failures and errors."""

    def __init__(self, stats: RequestStats) -> None:
        self._stats = stats  # those of Locust's environment, which a listener may read
        self.requests = 0
        self.failures = 0
        self.errors = 0
        self.clean = Cleaner(os.environ, 1)

    def text(self, value: Any) -> str:
        """Return a text for one line: without secrets and control characters, and not too long."""
        shown = visible(self.clean(safe(value, _LONGEST_READ)).strip(" "))
        return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} …"

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
        self._stats.log_request(request_type, name, time_ms, length)  # type: ignore[arg-type]  # it takes None
        took = "-" if time_ms is None else f"{time_ms:.1f}"
        kind, status = self.text(request_type), self.text(attribute(more.get("response"), "status_code") or "-")
        has_failed = is_failed(exception)
        print(
            f"  {'FAIL' if has_failed else 'ok  '} {kind:<6} {status:>3} {took:>8} ms {length:>9} B  {self.text(name)}"
        )
        if has_failed:
            self.failures += 1
            self._stats.log_error(request_type, name, clean_error(exception))
            print(f"       {type(exception).__name__}: {self.text(exception)}")

    def error(self, text: str) -> None:
        """Print and count an error in the user's own code."""
        self.errors += 1
        print(f"  FAIL {text}", flush=True)

    def run(self, name: str, part: Callable[[], object], *, is_users: bool = True) -> bool:
        """Run a part of the user's code within its limit; print its error, and return whether it succeeded.

        Raises:
            StopUser, StopTest: the part raised it. Outside of a user (`is_users`) it is an error.

        """
        error = within(PART_SECONDS, name, part)
        if error is None or isinstance(error, InterruptTaskSet | RescheduleTask | RescheduleTaskImmediately):
            return True
        if is_users and isinstance(error, GreenletExit):
            raise StopUser
        if is_users and isinstance(error, StopUser | StopTest):
            raise error
        where = f" ({place(traceback.extract_tb(error.__traceback__))})" if error.__traceback__ else ""
        kind = "" if isinstance(error, TookTooLongError) else f"{type(error).__name__}: "
        self.error(f"{self.text(name)}: {kind}{self.text(error)}{where}")
        return False


def tasks_of(owner: Any) -> list[Any]:
    """Return the tasks of a User or a TaskSet in order, each once; in a Markov chain in the order of transitions."""
    if isinstance(owner, MarkovTaskSet):
        chain: dict[str, Any] = {}
        names = [str(attribute(owner.current, "__name__"))]
        for name in names:  # grows
            if name not in chain:
                chain[name] = getattr(owner, name)
                names += chain[name].transitions
        return list(chain.values())
    try:
        return list(dict.fromkeys(owner.tasks))
    except TypeError:  # a task without a hash
        return list({id(task): task for task in owner.tasks}.values())


def run_task(task: Any, owner: Any, printer: Printer) -> None:
    """Run one task of `owner` (a User or a TaskSet); a TaskSet runs each of its own tasks once.

    Raises:
        StopUser, StopTest: the task stopped its user, or the whole test.

    """
    name = safe(attribute(task, "__qualname__") or task, _LONGEST)
    if inspect.isclass(task) and issubclass(task, TaskSet):
        made: list[Any] = []
        if printer.run(f"{name}.__init__", lambda: made.append(task(owner))):
            run_tasks(name, made[0], printer)
        return
    print(f" {printer.text(name)}")
    is_bound = isinstance(owner, TaskSet) and attribute(task, "__self__") is owner  # a User's own task gets the user
    printer.run(name, task if is_bound else partial(task, owner))
    user = owner if isinstance(owner, User) else owner.user
    if user.environment.runner.state == STATE_STOPPED:
        raise StopTest
    if user._state == LOCUST_STATE_STOPPING:  # noqa: SLF001  Locust's own way to tell
        raise StopUser


def run_tasks(name: str, owner: Any, printer: Printer) -> None:
    """Run on_start, each task once, and on_stop of a User or a TaskSet; stop if on_start fails."""
    started = True
    try:
        started = printer.run(f"{name}.on_start", owner.on_start)
        tasks: list[Any] = []
        if started:
            printer.run(f"{name}.tasks", lambda: tasks.extend(tasks_of(owner)))
        for task in tasks:
            run_task(task, owner, printer)
    finally:
        if started:
            printer.run(f"{name}.on_stop", owner.on_stop)


def run_functions(name: str, user: PytestUser, printer: Printer) -> None:
    """Run each pytest function of a user once, with the value of its fixture, as Locust does."""
    for function in user.functions:
        made: list[Any] = []
        fixture = function.fixturedef  # type: ignore[attr-defined]  # Locust puts it there
        print(f" {printer.text(name)}")
        if printer.run(f"fixture {fixture.argname}", partial(_set_up, fixture, user, made)):
            printer.run(name, partial(_call, function.obj, made[0]))


def _set_up(fixture: Any, user: User, made: list[Any]) -> None:
    made.append(next(fixture.func(user)))


def _call(function: Callable[..., Any], fixture: Any) -> None:
    """Call a pytest function; print the exception of a failed request as that request."""
    try:
        function(fixture)
    except (RequestException, CatchResponseError, ConnectionError) as error:
        if isinstance(error, ValueError):
            raise


def try_user(name: str, user: User, printer: Printer) -> None:
    """Run one user through one pass.

    Raises:
        StopTest: it stopped the whole test.

    """
    print(f"{name} → {printer.text(user.host)}", flush=True)
    user._state = LOCUST_STATE_RUNNING  # noqa: SLF001  what User.run sets before the first task
    try:
        if isinstance(user, PytestUser):
            run_functions(name, user, printer)
        else:
            user._taskset_instance = DefaultTaskSet(user)  # noqa: SLF001  as above; self.wait() needs it
            run_tasks(name, user, printer)
    except (StopUser, StopTest) as stop:
        print(f"  {type(stop).__name__} ended the try")
        if user.environment.runner.state == STATE_STOPPED:
            raise StopTest from None


def users_of(environment: Environment, printer: Printer) -> Iterator[tuple[str, User]]:
    """Make one user of each class as Locust does: HOST replaces the host of the class."""
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
    """Note each answer of a request with `catch_response=True`."""

    def request(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if kwargs.get("catch_response"):
            answers.append(answer)
        return answer

    for session in (HttpSession, FastHttpSession):
        Patches().wrap(session, "request", request)


def name_unreported(answers: Iterable[Any], printer: Printer) -> None:
    """Print the answers that no `with` block reported: Locust does not count them."""
    for answer in answers:
        if not getattr(answer, "_entered", True):
            meta = answer.request_meta
            asked, why = printer.text(f"{meta['request_type']} {meta['name']}"), "catch_response=True without `with`"
            printer.error(f"{asked}: answered {answer.status_code}, but was never reported: {why}")


def without_host(environment: Environment) -> str:
    """Return the first class that makes HTTP requests but has no host; "" if all have one."""
    for user_class in environment.user_classes:
        if needs_host(user_class) and not (environment.host or user_class.host):
            return user_class.__name__
    return ""


def fire(event: EventHook, name: str, printer: Printer, *, reverse: bool = False, **arguments: Any) -> None:
    """Call each listener of an event within its limit; a failure is an error and does not stop the others."""
    handlers = list(event._handlers)  # noqa: SLF001  Locust's own `fire` logs errors, and hangs with its listener
    for handler in reversed(handlers) if reverse else handlers:
        printer.run(f"events.{name}", partial(handler, **arguments), is_users=False)


def run_pass(environment: Environment, runner: LocalRunner, printer: Printer) -> None:
    """Fire Locust's events in Locust's order around one pass with one user of each class."""
    hooks = environment.events
    fire(hooks.init, "init", printer, environment=environment, runner=runner, web_ui=None)
    environment._filter_tasks_by_tags()  # noqa: SLF001  what a runner does when it starts users
    runner.target_user_count = len(environment.user_classes)
    fire(hooks.test_start, "test_start", printer, environment=environment)
    users = list(users_of(environment, printer))
    fire(hooks.spawning_complete, "spawning_complete", printer, user_count=len(users))
    try:
        for name, user in users:
            try_user(name, user, printer)
    finally:
        if runner.state != STATE_STOPPED:
            fire(hooks.test_stopping, "test_stopping", printer, environment=environment)
            runner.update_state(STATE_STOPPED)
            fire(hooks.test_stop, "test_stop", printer, environment=environment)
        fire(hooks.quitting, "quitting", printer, reverse=True, environment=environment)


def main() -> int:
    """Try each User class.

    Return 0 if at least one request was made and no request failed, 2 if a class has no host, else 1.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this process without a traceback
    guard_process(os.environ)
    stats = RequestStats()
    printer, made = Printer(stats), list[Loaded]()
    if not printer.run("loading", lambda: made.append(load(os.environ["LOCUST_LOCUSTFILE"])), is_users=False):
        return 1
    loaded = made[0]
    for problem in loaded.problems:
        place_of_it = f"{problem.file}:{problem.line}" if problem.line else problem.file
        print(f"{place_of_it}: {printer.text(problem.text)} → {problem.fix}", file=sys.stderr)
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
        text = "has no host, and HOST is not set → make try HOST=http://<your service>, or MOCK=1"
        print(f"class {homeless} {text}", file=sys.stderr)
        return _NO_TARGET
    environment.stats = stats
    return _try(environment, printer)


def _try(environment: Environment, printer: Printer) -> int:
    printer.clean.know(secrets_of(environment))
    answers: list[Any] = []
    note_answers(answers)
    runner = environment.create_local_runner()
    take_over(environment)
    listen_first(environment.events.request, printer.request)
    with suppress(StopTest):
        run_pass(environment, runner, printer)
    name_unreported(answers, printer)
    counts = f"{plural(printer.requests, 'request')}, {printer.failures} failed"
    print(f"{counts}, {plural(printer.errors, 'error')} in the locustfile")
    if not printer.requests:
        print("No request was made.", file=sys.stderr)
    code = 0 if printer.requests and not printer.failures and not printer.errors else 1
    end_process_after(_EXIT_SECONDS, code)
    return code
