"""Requests after the end of a run's load: users run `on_stop`, and listeners of `test_stop` clean up.

Tasks that run at the stop and end within STOP_TIMEOUT are load, as in Locust. Every other request from the stop on is
counted separately: no rate, percentile or group of failures contains it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import locust
from gevent import GreenletExit
from locust import User
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry, StatsError
from locust.user.users import PytestUser

from locust_kit.guard import guarded
from locust_kit.meters.reading import mapping, number, rows, whole
from locust_kit.texts import LONGEST_NAME, OTHERS, safe

Document = dict[str, Any]
ByWorker = Mapping[str, Document]

_NOT_THE_USERS = (Path(locust.__file__).parent, Path(__file__).parents[1])
_IN_TASK = "task"
_RUNS = (User.run.__code__, PytestUser.run.__code__)
_GENERATIONS = 8  # of greenlets that start greenlets
_MOST_NAMES = 1000
_MOST_ERRORS = 50
_USERS = ("users_in_on_stop", "users_in_tasks", "users_cut_off")
_ERROR = ("method", "name", "error")
_SUMS = ("requests", "failures", "requests_without_time", "total_ms")


class AfterTheEnd:
    """The requests of this process since its run began to stop. `is_on`: the run is stopping."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget everything: a run begins."""
        self.is_on = False
        self.since = 0.0
        self.cut_off = 0
        self.waits_for = ""
        self.stats = RequestStats(use_response_times_cache=False)

    def stop(self, users: Iterable[Any], environment: Environment) -> None:
        """Count separately from now on; note for each user whether its `on_stop` is cut off."""
        if self.is_on:
            return
        self.is_on, self.since = True, time.monotonic()
        self.waits_for = ", ".join(listeners(environment))
        for user in users:
            if not isinstance(next(iter(user.args), None), PytestUser):  # which has no `on_stop`
                user.rawlink(self._user_ended)

    def _user_ended(self, greenlet: Any) -> None:
        # Locust catches the first end of a user and calls its on_stop; only a second one, within that, is left over.
        self.cut_off += isinstance(greenlet.value, GreenletExit)

    def count_if_no_load(self, method: str, name: str, response_time: Any, length: Any, error: str | None) -> bool:
        """Count a request if it is not load; `error` is Locust's. Return whether it was counted here."""
        greenlet, frame = gevent.getcurrent(), sys._getframe(1)  # noqa: SLF001  the documented way to the callers
        for _ in range(_GENERATIONS):
            if (place := _place(frame)) is not None:
                if place is _IN_TASK:
                    return False
                break
            greenlet = getattr(greenlet, "spawning_greenlet", lambda: None)()
            if greenlet is None:
                break
            frame = greenlet.gr_frame
        if (name, method) not in self.stats.entries and len(self.stats.entries) >= _MOST_NAMES:
            name = OTHERS
        self.stats.log_request(method, name, response_time, length or 0)
        if error is not None:
            self.stats.log_error(method, name, error)
        return True


AFTER_THE_END = AfterTheEnd()
"""The requests after the end in this process."""


def _place(frame: FrameType | None) -> Any:
    """Return "on_stop" for code of `on_stop`, _IN_TASK for code of a task, None for other code."""
    while frame is not None:
        if frame.f_code.co_name == "on_stop":
            return "on_stop"
        if frame.f_code in _RUNS:
            return _IN_TASK
        frame = frame.f_back
    return None


def listeners(environment: Environment) -> Iterator[str]:
    """Yield the listeners of the user's code that are called after the test has stopped."""
    for listener in getattr(environment.events.test_stop, "_handlers", ()):
        code = getattr(listener, "__code__", None)
        if code and not any(Path(code.co_filename).is_relative_to(folder) for folder in _NOT_THE_USERS):
            yield f"test_stop of {Path(code.co_filename).name}:{code.co_firstlineno}"


class Stopping:
    """The meter of the requests after the end."""

    name = "stopping"

    def __init__(self) -> None:
        self._environment: Environment | None = None
        self._is_stopped = False

    def listen(self, environment: Environment) -> None:
        """Register for the stop, and for the end of it: this listener is the last of `test_stop`."""
        self._environment = environment
        environment.events.test_stopping.add_listener(guarded(self._stop))
        environment.events.test_stop.add_listener(guarded(self._end))

    def begin(self) -> None:
        """Forget the run before."""
        self._is_stopped = False
        AFTER_THE_END.begin()

    def _stop(self, environment: Environment, **_: Any) -> None:
        AFTER_THE_END.stop(environment.runner.user_greenlets if environment.runner else (), environment)

    def _end(self, **_: Any) -> None:
        self._is_stopped = True

    def document(self) -> Document:
        """Return the requests after the end, and what the stop still waits for."""
        after = AFTER_THE_END
        if not after.is_on:
            return {}
        return {
            "is_stopping": True,
            "seconds": round(time.monotonic() - after.since, 1),
            **self._waits(after),
            "users_cut_off": after.cut_off,
            "endpoints": [_row(entry) for entry in after.stats.entries.values()],
            "errors": [_error(error) for error in list(after.stats.errors.values())[:_MOST_ERRORS]],
        }

    def _waits(self, after: AfterTheEnd) -> Document:
        runner = self._environment.runner if self._environment else None
        users = [] if self._is_stopped or runner is None else list(runner.user_greenlets)
        saying_goodbye = sum(1 for user in users if _place(user.gr_frame) == "on_stop")
        return {
            "users_in_on_stop": saying_goodbye,
            "users_in_tasks": len(users) - saying_goodbye,
            "waits_for": "" if self._is_stopped or users else after.waits_for,
        }

    @staticmethod
    def merged(by_worker: ByWorker) -> Document:
        """Return the sums over all workers; an empty document before the first worker stops."""
        documents = [document for document in by_worker.values() if document.get("is_stopping") is True]
        if not documents:
            return {}
        endpoints: dict[tuple[str, str], Document] = {}
        errors: Counter[tuple[str, ...]] = Counter()
        for document in documents:
            for row in map(_checked, rows(document.get("endpoints"), _MOST_NAMES)):
                key = row["method"], row["name"]
                endpoints[key] = together(endpoints[key], row) if key in endpoints else row
            for error in rows(document.get("errors"), _MOST_NAMES):
                errors[tuple(safe(error.get(part) or "", LONGEST_NAME) for part in _ERROR)] += whole(
                    error.get("occurrences")
                )
        return {
            **{part: sum(row[part] for row in endpoints.values()) for part in ("requests", "failures")},
            **{part: sum(whole(document.get(part)) for document in documents) for part in _USERS},
            "seconds": max(number(document.get("seconds")) for document in documents),
            "waits_for": safe(next((text for one in documents if (text := one.get("waits_for"))), ""), LONGEST_NAME),
            "endpoints": list(endpoints.values()),
            "errors": [
                {**dict(zip(_ERROR, error, strict=True)), "occurrences": count}
                for error, count in errors.most_common(_MOST_ERRORS)
            ],
        }

    @staticmethod
    def cleaned(merged: Document, clean: Callable[[str], str]) -> Document:
        """Return a merged document without secrets; its names may no longer be those of Locust's own statistics."""
        texts = ("name", "error")
        lists = {part: merged[part] for part in ("endpoints", "errors") if part in merged}
        return merged | {
            part: [{key: clean(value) if key in texts else value for key, value in row.items()} for row in of]
            for part, of in lists.items()
        }

    @staticmethod
    def moment(merged: Document) -> Document:
        """Return the number of requests after the end."""
        return {part: merged[part] for part in ("requests", "failures", "users_in_on_stop")} if merged else {}


def _row(entry: StatsEntry) -> Document:
    return {
        "method": safe(entry.method or "", LONGEST_NAME),
        "name": safe(entry.name, LONGEST_NAME),
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "requests_without_time": entry.num_none_requests,
        "total_ms": entry.total_response_time,
        "min_ms": entry.min_response_time,
        "max_ms": entry.max_response_time,
        "times": dict(entry.response_times),
    }


def _error(error: StatsError) -> Document:
    parts = zip(_ERROR, (error.method, error.name, error.error), strict=True)
    return {**{part: safe(text or "", LONGEST_NAME) for part, text in parts}, "occurrences": error.occurrences}


def _checked(row: Document) -> Document:
    """Return a worker's row with the expected types."""
    return {
        **{part: safe(row.get(part) or "", LONGEST_NAME) for part in ("method", "name")},
        **{part: whole(row.get(part)) for part in ("requests", "failures", "requests_without_time")},
        **{part: number(row.get(part)) for part in ("total_ms", "max_ms")},
        "min_ms": None if row.get("min_ms") is None else number(row.get("min_ms")),
        "times": {
            time_ms: count
            for time_ms, count in mapping(row.get("times")).items()
            if isinstance(time_ms, int) and isinstance(count, int) and count > 0
        },
    }


def together(one: Document, other: Document) -> Document:
    """Merge two rows; keep the name of the first."""
    shortest = [row["min_ms"] for row in (one, other) if row["min_ms"] is not None]
    return {
        **one,
        **{name: one[name] + other[name] for name in _SUMS},
        "min_ms": min(shortest, default=None),
        "max_ms": max(one["max_ms"], other["max_ms"]),
        "times": dict(Counter(one["times"]) + Counter(other["times"])),
    }
