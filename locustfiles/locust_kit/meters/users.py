"""Count users and task runs: running users, users that could not be made or died and why, and tasks that raised.

Locust does not count them: if `__init__` or `on_start` of a user raises, there is only a traceback in a worker's log.
So the plugin wraps the methods in which a user is made, runs and ends.

`requests` counts the requests that a worker has reported; 0 in a Locust without workers.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

import gevent
from gevent import GreenletExit
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.runners import Runner
from locust.user.task import DefaultTaskSet, TaskSet
from locust.user.users import User

from locust_kit import places
from locust_kit.arguments import secrets_of
from locust_kit.failures.mask import LONGEST, masked
from locust_kit.failures.settings import Cleaner
from locust_kit.guard import guarded, listen_behind, listen_first
from locust_kit.meters.reading import LONGEST_LABEL, labelled, mapping, rows, whole
from locust_kit.patches import Patches, make_each
from locust_kit.texts import OTHERS, attribute, safe

INIT, ON_START, ON_STOP, TASK, DIED, RUNNER = "init", "on_start", "on_stop", "task", "died", "runner"
_MOST_TASKS, _MOST_ERRORS, _MOST_CLASSES, _MOST_WORKERS = 500, 100, 200, 50
_REMEMBERED = 512
_COUNTS = ("made", "not_made", "died", "finished", "stopped", "running", "finished_now", "died_now")
_SUMS = ("asked", "requests", "task_runs", "task_errors")
_LINE = ("made", "running", "not_made", "died", "finished")
_RECORD = "_locust_kit_user"
EMPTYING, COUNTING = "setup_distributed_stats_event_listeners.<locals>.on_report_to_master", "UserMeter._count_requests"
"""Two listeners to `report_to_master`: Locust's, which moves its statistics into a report, and the one after it."""

Document = dict[str, Any]


@dataclass(slots=True)
class ClassCounts:
    """The users of one class in this process.

    Attributes:
        made: users that were started.
        not_made: users of the newest order to spawn that could not be made.
        died, finished, stopped: users that an exception ended, that ended themselves (StopUser), that Locust stopped.
        finished_now, died_now: those of them that a later order to spawn did not replace.

    """

    made: int = 0
    not_made: int = 0
    died: int = 0
    finished: int = 0
    stopped: int = 0
    finished_now: int = 0
    died_now: int = 0

    @property
    def running(self) -> int:
        """The running users."""
        return self.made - self.died - self.finished - self.stopped

    def replaced(self, count: int) -> None:
        """Note that so many users were made: they replace the ended users first."""
        for name in ("died_now", "finished_now"):
            taken = min(count, getattr(self, name))
            setattr(self, name, getattr(self, name) - taken)
            count -= taken


@dataclass(slots=True)
class _UserRecord:
    """One user's record: the counts of its class in its run; whether its tasks began; how it ended, "" before;
    the identity of the exception in Locust's event."""

    counts: ClassCounts
    began: bool = False
    ending: str = ""
    noted: int = 0


class ErrorKey(NamedTuple):
    """The key of an error in users' code: the function or task, its kind, the exception, and the line."""

    name: str
    kind: str
    type: str
    text: str
    line: str


@dataclass
class UserMeter:
    """Counts users and task runs in this process. Only one per process, because it patches Locust's classes."""

    name = "users"
    never_falls = ("made", "requests")
    problem: str = ""
    _runner: Any = None
    _environment: Any = None
    _requests: int = 0
    _runs: dict[tuple[type, type, Any], int] = field(default_factory=dict)
    _runs_by_name: Counter[str] = field(default_factory=Counter)
    _classes: defaultdict[str, ClassCounts] = field(default_factory=lambda: defaultdict(ClassCounts))
    _errors: Counter[ErrorKey] = field(default_factory=Counter)
    _examples: dict[ErrorKey, str] = field(default_factory=dict)
    _failing: tuple[BaseException | None, str] = (None, "")

    def __post_init__(self) -> None:
        self._clean = Cleaner(os.environ, _REMEMBERED)

    def listen(self, environment: Environment) -> None:
        """Follow each user of this process until its end."""
        self._environment = environment
        listen_behind(environment.events.report_to_master, EMPTYING, guarded(self._count_requests))
        listen_first(environment.events.user_error, guarded(self._user_error))
        environment.events.test_stopping.add_listener(self._stopping)
        changes = {"Runner": self._follow_runner, "User": self._follow_users, "TaskSet": self._follow_tasks}
        self.problem = "; ".join(make_each(changes)[1])

    def begin(self) -> None:
        """Forget the counts; users of the run before that still end do not count."""
        self._requests = 0
        self._runs.clear()
        self._runs_by_name.clear()
        self._classes.clear()
        self._errors.clear()
        self._examples.clear()
        if self._environment:
            self._clean.know(secrets_of(self._environment))

    def document(self) -> Document:
        """Return users by class, task runs by task, and the errors, the most frequent first."""
        runner = self._environment.runner if self._environment else None
        known = [user.__name__ for user in self._environment.user_classes] if self._environment else []
        names = list(dict.fromkeys([*known, *self._classes]))[:_MOST_CLASSES]
        return {
            "asked": int(getattr(runner, "target_user_count", 0) or 0),
            "requests": self._requests,
            "classes": {
                safe(name, LONGEST_LABEL): {key: getattr(self._classes[name], key) for key in _COUNTS} for name in names
            },
            "tasks": self._tasks(),
            "errors": [
                {
                    **key._asdict(),
                    "text": self._clean(key.text),
                    "example": self._clean(self._examples.get(key, ""))[:LONGEST],
                    "count": count,
                }
                for key, count in self._errors.most_common(_MOST_ERRORS)
            ],
            "problem": self.problem,
        }

    @staticmethod
    def merged(by_worker: Mapping[str, Document]) -> Document:
        """Return the sums over all workers, and a line of each worker, workers without requests first."""
        return _merged(by_worker)

    @staticmethod
    def moment(merged: Document) -> Document:
        """Return the sums."""
        return {name: merged[name] for name in (*_COUNTS, *_SUMS)}

    def _tasks(self) -> dict[str, dict[str, int]]:
        runs = Counter(self._runs_by_name)
        for key, count in self._runs.items():
            if not isinstance(key[2], type):  # a nested task set is entered once for many runs of its tasks
                runs[_task_name(*key)] += count
        errors: Counter[str] = Counter()
        for error, count in self._errors.items():
            if error.kind == TASK:
                errors[error.name] += count
        names = [name for name, _ in (errors + runs).most_common(_MOST_TASKS)]
        return {name: {"runs": max(runs[name], errors[name]), "errors": errors[name]} for name in names}

    def _count_requests(self, data: dict[str, Any], **_: Any) -> None:
        total = data.get("stats_total")
        count = total.get("num_requests") if isinstance(total, dict) else 0
        self._requests += count if isinstance(count, int) else 0

    def _stopping(self, **_: Any) -> None:
        for counts in self._classes.values():
            counts.finished_now = counts.died_now = counts.not_made = 0

    def _follow_runner(self) -> None:
        with Patches() as patches:
            patches.wrap(Runner, "spawn_users", self._spawn)
            patches.wrap(Runner, "stop_users", self._stop_users)

    def _follow_users(self) -> None:
        with Patches() as patches:
            patches.wrap(User, "start", self._start)
            patches.wrap(User, "stop", _stop)

    def _follow_tasks(self) -> None:
        with Patches() as patches:
            patches.wrap(TaskSet, "run", _run_tasks)
            for owner in (TaskSet, DefaultTaskSet):
                patches.put(owner, "execute_task", self._counted(owner.execute_task))

    def _spawn(self, spawn: Callable[..., Any], runner: Any, wanted: Mapping[str, int], *args: Any, **more: Any) -> Any:
        before = {name: self._classes[name].made for name in wanted}
        is_cut_short = False
        try:
            return spawn(runner, wanted, *args, **more)
        except GreenletExit:  # a newer order, or the end of the run
            is_cut_short = True
            raise
        except Exception as error:
            name = _class_being_made(error.__traceback__)
            self._note(f"{name}.__init__" if name else "spawn", INIT, error, error.__traceback__)
            raise
        finally:
            for name, count in wanted.items():
                counts = self._classes[name]
                made = counts.made - before[name]
                counts.not_made = 0 if is_cut_short else max(0, count - made)
                counts.replaced(made)

    def _start(self, start: Callable[..., Any], user: Any, *args: Any, **more: Any) -> Any:
        greenlet = start(user, *args, **more)
        counts = self._classes[type(user).__name__]
        counts.made += 1
        record = user.__dict__[_RECORD] = _UserRecord(counts)
        greenlet.rawlink(partial(self._ended, type(user).__name__, record))
        return greenlet

    def _ended(self, name: str, record: _UserRecord, greenlet: Any) -> None:
        """Count a user whose greenlet has ended."""
        counts, error = record.counts, greenlet.exception
        if error is not None and id(error) != record.noted:  # without an event: a time-out of gevent, or on_stop
            kind = ON_STOP if record.ending else DIED if record.began else ON_START
            self._note(f"{name}.{'run' if kind == DIED else kind}", kind, error, greenlet.exc_info[2])
        if error is not None and not record.ending:
            counts.died += 1
            counts.died_now += 1
        elif record.ending == "stopped" or isinstance(greenlet.value, GreenletExit):
            counts.stopped += 1
        else:
            counts.finished += 1
            counts.finished_now += 1

    def _stop_users(self, stop: Callable[..., Any], runner: Any, *args: Any, **more: Any) -> Any:
        """Note a user whose code stops all users of the runner: on a worker, the master did not order that."""
        user = _current_user()
        if user is not None:
            _end(user, "stopped")
            asked, frame = "stop_users", sys._getframe(1)  # noqa: SLF001  who of the user's own code asked
            while frame.f_back is not None and not places.is_users_own(frame.f_code.co_filename):
                asked, frame = frame.f_code.co_name, frame.f_back
            line = places.of_caller(frame).line
            self._errors[ErrorKey(type(user).__name__, RUNNER, f"runner.{asked}()", "", line)] += 1
        return stop(runner, *args, **more)

    def _user_error(self, user_instance: Any, exception: BaseException, tb: Any = None, **_: Any) -> None:
        """Count an exception that Locust caught in a task (it passes the task set) or in `on_start` (the user)."""
        user = attribute(user_instance, "user", user_instance)
        failed, self._failing = self._failing, (None, "")
        name, kind = failed[1], TASK
        if failed[0] is not exception:
            kind = TASK if isinstance(user_instance, TaskSet) else ON_START
            name = f"{type(user).__name__}.{places.of_traceback(tb).function or kind}"
        self._note(name, kind, exception, tb)
        record = _record_of(user)
        if record is not None:
            record.noted = id(exception)

    def _counted(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Return `execute_task` with a count of the ended runs; it costs about 0.2 µs per run."""
        runs, fresh, failed = self._runs, self._fresh, self._failed

        def execute_task(self: Any, task: Any) -> Any:
            key = self._user.__class__, self.__class__, task
            try:
                result = execute(self, task)
            except Exception as error:
                failed(key, error)
                raise
            try:
                runs[key] += 1
            except (KeyError, TypeError):  # the first run; a task without a hash
                fresh(key)
            return result

        return execute_task

    def _fresh(self, key: tuple[type, type, Any]) -> None:
        """Count a run whose task has no count yet, by name: a bound method is a different object for each user."""
        try:
            is_known = key in self._runs
        except TypeError:
            key, is_known = (*key[:2], repr(key[2])), False
        if is_known or not (hasattr(key[2], "__self__") or len(self._runs) >= _MOST_TASKS):
            self._runs[key] = self._runs.get(key, 0) + 1
        else:
            name = _task_name(*key) if len(self._runs_by_name) < _MOST_TASKS else OTHERS
            self._runs_by_name[name] += 1

    def _failed(self, key: tuple[type, type, Any], error: Exception) -> None:
        """Count a run that raised, and remember its task: Locust's event, which comes next, does not name it."""
        self._fresh(key)
        self._failing = (error, _task_name(*key))

    def _note(self, name: str, kind: str, error: BaseException, traceback: TracebackType | None) -> None:
        text, line = " ".join(safe(error, 2 * LONGEST).split()), places.of_traceback(traceback).line
        key = ErrorKey(safe(name, LONGEST_LABEL), kind, type(error).__name__, masked(text), line)
        if key not in self._errors and len(self._errors) >= _MOST_ERRORS:
            key, text = key._replace(type=OTHERS, text="", line=""), ""
        self._errors[key] += 1
        self._examples.setdefault(key, text)


def _current_user() -> User | None:
    """Return this greenlet's user: Locust starts a greenlet with the user as its only argument."""
    arguments = attribute(gevent.getcurrent(), "args")
    user = arguments[0] if arguments and isinstance(arguments, tuple) else None
    return user if isinstance(user, User) else None


def _record_of(user: Any) -> _UserRecord | None:
    return getattr(user, "__dict__", {}).get(_RECORD)


def _end(user: Any, ending: str) -> None:
    """Note how a user ends; only the first call counts."""
    record = _record_of(user)
    if record is not None and not record.ending:
        record.ending = ending


def _stop(stop: Callable[..., Any], user: Any, *args: Any, **more: Any) -> Any:
    _end(user, "finished" if _current_user() is user else "stopped")
    return stop(user, *args, **more)


def _run_tasks(run: Callable[..., Any], task_set: Any) -> Any:
    user = task_set.user
    record = _record_of(user)
    if record is not None:
        record.began = True
    try:
        return run(task_set)
    except (StopUser, StopTest):
        _end(user, "finished")
        raise
    except GreenletExit:
        _end(user, "stopped")
        raise


def _class_being_made(traceback: TracebackType | None) -> str:
    """Return the class of the user that Locust was making at this exception; "" if it cannot be found."""
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_name == "spawn" and "user_class" in frame.f_locals:
            return str(frame.f_locals["user_class"])
        traceback = traceback.tb_next
    return ""


def _task_name(user_class: type, task_set: type, task: Any) -> str:
    """Return `Class.task`; in a nested task set `Class.TaskSet.task`."""
    name = safe(attribute(task, "__name__", "") or task, LONGEST_LABEL)
    nested = "" if issubclass(task_set, DefaultTaskSet) else f"{task_set.__name__}."
    return safe(f"{user_class.__name__}.{nested}{name}", LONGEST_LABEL)


def _merged(by_worker: Mapping[str, Document]) -> Document:
    sums: Counter[str] = Counter()
    classes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    tasks: defaultdict[str, Counter[str]] = defaultdict(Counter)
    errors: Counter[ErrorKey] = Counter()
    workers_of: Counter[ErrorKey] = Counter()
    examples: dict[ErrorKey, str] = {}
    lines: dict[str, Document] = {}
    for worker, document in by_worker.items():
        own: Counter[str] = Counter(asked=whole(document.get("asked")), requests=whole(document.get("requests")))
        for name, counts in labelled(document.get("classes"), _MOST_TASKS).items():
            found = {key: whole(mapping(counts).get(key)) for key in _COUNTS}
            classes[name].update(found)
            own.update(found)
        for name, counts in labelled(document.get("tasks"), _MOST_TASKS).items():
            runs, failed = whole(mapping(counts).get("runs")), whole(mapping(counts).get("errors"))
            tasks[name].update(runs=runs, errors=failed)
            own.update(task_runs=runs, task_errors=failed)
        raised = rows(document.get("errors"), _MOST_ERRORS)
        for error in raised:
            key = ErrorKey(*(safe(error.get(part) or "", LONGEST) for part in ErrorKey._fields))
            errors[key] += whole(error.get("count"))
            workers_of[key] += 1
            examples.setdefault(key, safe(error.get("example") or "", LONGEST))
            own["task_errors"] += whole(error.get("count")) if key.kind == ON_START else 0
        sums.update(own)
        most = max(raised, key=lambda error: whole(error.get("count")), default=None)
        lines[worker] = {
            **{name: own[name] for name in (*_LINE, *_SUMS)},
            "error": safe(f"{most.get('type')} in {most.get('name')}", LONGEST) if most else "",
        }
    shown = sorted(lines, key=lambda worker: (bool(lines[worker]["requests"]), worker))[:_MOST_WORKERS]
    return {
        **{name: sums[name] for name in (*_COUNTS, *_SUMS)},
        "classes": {name: {key: counts[key] for key in _COUNTS} for name, counts in classes.items()},
        "tasks": {name: dict(counts) for name, counts in tasks.items()},
        "errors": [
            {**key._asdict(), "example": examples[key], "count": count, "workers": workers_of[key]}
            for key, count in errors.most_common(_MOST_ERRORS)
        ],
        "workers": len(by_worker),
        "by_worker": {worker: lines[worker] for worker in shown},
        "problems": sorted({str(document["problem"]) for document in by_worker.values() if document.get("problem")}),
    }
