"""On a worker: every failure is counted where it happens, without I/O and without yielding.

What the listener keeps is bounded: groups between two reports, rows of a second, and examples of each group. Texts are
cleaned of secrets when a report is made, in the greenlet that sends it; nothing leaves this process before.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import gevent
from locust.user.users import User

from locust_kit.performance import milliseconds
from locust_kit.texts import attribute, safe

from .classify import Class, classify
from .kinds import Kind
from .mask import LONGEST, masked
from .records import GroupKey, Record, plain, wire
from .settings import Level, Settings

MOST_GROUPS = 2000  # between two reports
RESERVOIR = 50
_OTHER = "(others)"
_TASK = "TASK"
_LONGEST_URL = 2000
_LONGEST_NAME = 2000
_MOST_STATUS = 999
_MOST_BYTES = 2**63 - 1  # what the wire holds

_EXAMPLES = 2  # of a group in one report, with the headers and the first of the body

Clean = Callable[[str], str]


class Capture:
    """Counts failures, and hands out what came since the last time it was asked."""

    def __init__(self, settings: Settings, clean: Clean, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clean = clean
        self._clock = clock
        self._groups: dict[GroupKey, list[Any]] = {}
        self._examples: dict[GroupKey, list[Record]] = {}
        self._rows: list[Record] = []
        self._sample: list[Record] = []
        self._beyond = 0
        self._second, self._in_second = 0, 0

    def on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None,
        exception: Any = None,
        response: Any = None,
        context: Mapping[Any, Any] | None = None,
        url: str | None = None,
        **_: Any,
    ) -> None:
        """Count a request that failed; a good one costs no more than this call."""
        if not exception:  # as Locust tells it
            return
        status = _status_of(response)
        error = exception if isinstance(exception, BaseException) else Exception(safe(exception, 2 * LONGEST))
        kind, detail = _class_of(error, status)
        record = Record(
            at=self._clock(),
            user_class=_user_class(),
            method=safe(request_type, _LONGEST_NAME),
            name=safe(name, _LONGEST_NAME),
            url=safe(url or attribute(response, "url", "") or "", _LONGEST_URL),
            status=status,
            response_ms=milliseconds(response_time) or 0.0,
            length=_length_of(response_length),
            exception=type(error).__name__,
            message=safe(error, 2 * LONGEST),
            kind=kind,
            detail=detail,
        )
        self._count(record, response, context)

    def on_user_error(self, user_instance: Any, exception: BaseException, tb: Any = None, **_: Any) -> None:
        """Count an exception in a task, which Locust counts among no requests; it passes the task set as the user."""
        user_class = type(attribute(user_instance, "user", user_instance)).__name__
        record = Record(
            at=self._clock(),
            user_class=user_class,
            method=_TASK,
            name=f"{user_class}.{_function_of(tb)}",
            url="",
            status=0,
            response_ms=0.0,
            length=0,
            exception=type(exception).__name__,
            message=safe(exception, 2 * LONGEST),
            kind=Kind.TASK_ERROR,
            detail=type(exception).__name__,
        )
        self._count(record, None, None)

    def _count(self, record: Record, response: Any, context: Mapping[Any, Any] | None) -> None:
        level = self._settings.level
        message = masked(record.message) if level >= Level.GROUPS else ""
        key = GroupKey(record.method, record.name, record.kind, record.detail, message)
        counted = self._groups.get(key)
        if counted is None:
            if len(self._groups) >= MOST_GROUPS:
                named = len(self._groups) < 2 * MOST_GROUPS
                key = key._replace(message=_OTHER, name=record.name if named else _OTHER)
                counted = self._groups.get(key)
            if counted is None:
                counted = self._groups[key] = [0, record.at, record.at]
        counted[0] += 1
        counted[2] = record.at
        if level >= Level.EXEMPLARS and len(kept := self._examples.setdefault(key, [])) < _EXAMPLES:
            kept.append(self._with_answer(record, response, context))
        if level >= Level.FULL:
            record.context = plain(context)
            self._keep_row(record)

    def _keep_row(self, record: Record) -> None:
        second = int(record.at)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second <= self._settings.records_per_second:
            self._rows.append(record)
            return
        self._beyond += 1
        if len(self._sample) < RESERVOIR:
            self._sample.append(record)
        elif (place := random.randrange(self._beyond)) < RESERVOIR:  # noqa: S311  a sample, no secret
            self._sample[place] = record

    def _with_answer(self, record: Record, response: Any, context: Mapping[Any, Any] | None) -> Record:
        """The record with the headers and the first of the body of its answer."""
        record.context = plain(context)
        headers = attribute(response, "headers")
        if isinstance(headers, Mapping):
            record.headers = plain(headers, most=40)
        body = _body_of(response)
        record.body = body[: self._settings.body_bytes].decode("utf-8", "replace")
        return record

    def report(self) -> dict[str, Any]:
        """What came since the last report, for the wire; from now on it is the master's to keep."""
        groups, self._groups = self._groups, {}
        examples, self._examples = self._examples, {}
        rows, self._rows = self._rows, []
        sample, self._sample = self._sample, []
        beyond, self._beyond = self._beyond, 0
        for record in sample:
            record.represents = beyond / len(sample)
        return {
            "groups": [[*self._cleaned_key(key), *counted] for key, counted in groups.items()],
            "examples": [
                [*self._cleaned_key(key), wire(self._cleaned(record))]
                for key, kept in examples.items()
                for record in kept
            ],
            "rows": [wire(self._cleaned(record)) for record in (*rows, *sample)],
        }

    def _cleaned_key(self, key: GroupKey) -> GroupKey:
        return key._replace(name=self._clean(key.name), message=self._clean(key.message))

    def _cleaned(self, record: Record) -> Record:
        clean = self._clean
        return replace(
            record,
            name=clean(record.name),
            url=clean(record.url),
            message=clean(record.message),
            body=clean(record.body),
            context=_cleaned_pairs(record.context, clean),
            headers=_cleaned_pairs(record.headers, clean),
        )


def _cleaned_pairs(pairs: Mapping[str, str], clean: Clean) -> dict[str, str]:
    """Named values, judged together with their names as a header line is."""
    found = {}
    for name, value in pairs.items():
        line = clean(f"{name}: {value}")
        found[clean(name)] = line.partition(": ")[2]
    return found


def _status_of(response: Any) -> int:
    """The status code; 0 for none, and for what is none."""
    status = attribute(response, "status_code")
    return int(status) if isinstance(status, int) and 0 <= status <= _MOST_STATUS else 0


def _length_of(given: Any) -> int:
    """A length of bytes; 0 for what is none."""
    try:
        return min(max(int(given or 0), 0), _MOST_BYTES)
    except (TypeError, ValueError, OverflowError):
        return 0


def _class_of(error: BaseException, status: int) -> Class:
    """The class of a failure; `other` for an exception that cannot be looked into."""
    try:
        kind, detail = classify(error, status)
        return Class(kind, safe(detail, LONGEST))
    except Exception:  # noqa: BLE001  properties of a test's own exception may raise anything
        return Class(Kind.OTHER, type(error).__name__)


def _body_of(response: Any) -> bytes:
    """What of the answer's body was read already; nothing is read for our sake."""
    for name in ("_content", "_cached_content"):
        body = attribute(response, name)
        if isinstance(body, bytes):
            return body
    return b""


def _function_of(traceback: Any) -> str:
    """The innermost function of the user's own files that an exception came through."""
    found = "?"
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "site-packages" not in code.co_filename:
            found = code.co_name
        traceback = traceback.tb_next
    return found


def _user_class() -> str:
    """The class of the user whose greenlet this is: Locust starts each with the user as its one argument."""
    arguments = attribute(gevent.getcurrent(), "args")
    user = arguments[0] if arguments and isinstance(arguments, tuple) else None
    return type(user).__name__ if isinstance(user, User) else ""
