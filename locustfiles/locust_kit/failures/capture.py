"""On a worker: every failure is counted where it happens, without I/O and without yielding.

What the listener keeps is bounded: groups between two reports, rows of a second, and examples of each group. Texts are
cleaned of secrets when a report is made, in the greenlet that sends it; nothing leaves this process before.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gevent
from locust.user.users import User

from locust_kit import places
from locust_kit.failures.classes import FailureClass
from locust_kit.failures.classify import Classification, classify
from locust_kit.failures.mask import LONGEST, masked
from locust_kit.failures.records import LATEST, GroupKey, Record, plain, wire
from locust_kit.failures.settings import CaptureSettings, Level
from locust_kit.performance import milliseconds
from locust_kit.texts import LONGEST_NAME, OTHERS, attribute, safe

MOST_GROUPS = 2000  # between two reports
MANY_GROUPS = 500  # so many keep their latest three examples; what comes beyond them, the latest one
RESERVOIR = 50
_TASK = "TASK"
_LONGEST_URL = 2000
_MOST_HEADERS = 40
_MOST_STATUS = 999

_IN_FULL = -1
_EXAMPLES_SECONDS = 1.0  # of a report

Clean = Callable[[str], str]
Example = tuple[Record | tuple[Any, ...], Any, bytes]
"""A record, or what it is made of; the headers of its answer; the first of the body."""


class _GroupCount:
    """A group's failures since the last report; its examples are the first and the latest."""

    __slots__ = ("beginning", "count", "first", "last", "latest")

    def __init__(self, at: float, latest: int) -> None:
        self.count, self.first, self.last = 0, at, at
        self.beginning: Example | None = None
        self.latest: deque[Example] = deque(maxlen=latest)

    def exemplify(self, example: Example) -> None:
        if self.beginning is None:
            self.beginning = example
        else:
            self.latest.append(example)

    def examples(self) -> Iterator[Record]:
        """Make the records only now: most noted examples have been replaced by later ones."""
        for noted, headers, body in (self.beginning, *self.latest) if self.beginning else ():
            record = noted if isinstance(noted, Record) else Record(*noted)
            if isinstance(headers, Mapping):
                record.headers = plain(headers, most=_MOST_HEADERS)
            record.body = body.decode("utf-8", "replace")
            yield record


class Capture:
    """The failures since the last report: counts, rows and examples."""

    def __init__(self, settings: CaptureSettings, clean: Clean, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clean = clean
        self._clock = clock
        self._groups: dict[GroupKey, _GroupCount] = {}
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
        """Count a request that failed, its length cleaned before; of a good one nothing is kept."""
        if exception is None:
            return
        status = _status_of(response)
        error = exception if isinstance(exception, BaseException) else Exception(safe(exception, 2 * LONGEST))
        kind, detail = _class_of(error, status)
        message = safe(error, 2 * LONGEST)
        at = self._clock()
        method, name = safe(request_type, LONGEST_NAME), safe(name, LONGEST_NAME)
        counted = self._count(at, method, name, kind, detail, message)
        if self._settings.level < Level.EXEMPLARS:
            return
        fields = (  # in the order of Record's: by name it would cost as much as a record
            at,
            _user_class(),
            method,
            name,
            safe(url or attribute(response, "url", "") or "", _LONGEST_URL),
            status,
            milliseconds(response_time) or 0.0,
            response_length or 0,
            type(error).__name__,
            message,
            kind,
            detail,
            "",
            1.0,
            plain(context) if context else {},
        )
        noted = fields if (place := self._place(at)) is None else self._keep(Record(*fields), place)
        body = _body_of(response)[: self._settings.body_bytes]
        counted.exemplify((noted, attribute(response, "headers"), body))

    def on_user_error(self, user_instance: Any, exception: BaseException, tb: Any = None, **_: Any) -> None:
        """Count an exception in a task, which is no request to Locust; it passes the task set as the user."""
        user_class = type(attribute(user_instance, "user", user_instance)).__name__
        record = Record(
            at=self._clock(),
            user_class=user_class,
            method=_TASK,
            name=f"{user_class}.{places.of_traceback(tb).function or '?'}",
            url="",
            status=0,
            response_ms=0.0,
            length=0,
            exception=type(exception).__name__,
            message=safe(exception, 2 * LONGEST),
            kind=FailureClass.TASK_ERROR,
            detail=type(exception).__name__,
        )
        counted = self._count(record.at, _TASK, record.name, record.kind, record.detail, record.message)
        if self._settings.level >= Level.EXEMPLARS:
            counted.exemplify((record, None, b""))
        if (place := self._place(record.at)) is not None:
            self._keep(record, place)

    def _count(self, at: float, method: str, name: str, kind: FailureClass, detail: str, message: str) -> _GroupCount:
        """Count a failure in its group, which is made if it is new."""
        key = GroupKey(method, name, kind, detail, masked(message) if self._settings.level >= Level.GROUPS else "")
        counted = self._groups.get(key)
        if counted is None:
            if len(self._groups) >= MOST_GROUPS:
                named = len(self._groups) < 2 * MOST_GROUPS
                key = key._replace(message=OTHERS, name=name if named else OTHERS)
                counted = self._groups.get(key)
            if counted is None:
                latest = LATEST if len(self._groups) < MANY_GROUPS else 1
                counted = self._groups[key] = _GroupCount(at, latest)
        counted.count += 1
        counted.last = at
        return counted

    def _place(self, at: float) -> int | None:
        """Return where the row of a failure goes: among the full rows, to a place in the sample, or nowhere (None)."""
        if self._settings.level < Level.FULL:
            return None
        second = int(at)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second <= self._settings.records_per_second:
            return _IN_FULL
        self._beyond += 1
        if len(self._sample) < RESERVOIR:
            return len(self._sample)
        place = int(random.random() * self._beyond)  # noqa: S311  a sample, no secret
        return place if place < RESERVOIR else None

    def _keep(self, record: Record, place: int) -> Record:
        if place == _IN_FULL:
            self._rows.append(record)
        elif place == len(self._sample):
            self._sample.append(record)
        else:
            self._sample[place] = record
        return record

    def report(self, pause: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Return what came since the last report, for the wire, and drop it here: from now on the master keeps it.

        `pause` is called between any two texts: cleaning many of them takes long.
        """
        groups, self._groups = self._groups, {}
        rows, self._rows = self._rows, []
        sample, self._sample = self._sample, []
        beyond, self._beyond = self._beyond, 0
        for record in sample:
            record.represents = beyond / len(sample)
        counts, cleaned_rows = [], []
        for key, group in groups.items():
            pause()
            counts.append([*self._cleaned_key(key), group.count, group.first, group.last])
        for record in (*rows, *sample):
            pause()
            cleaned_rows.append(wire(self._cleaned(record)))
        examples = list(self._examples(groups, pause))
        while groups:  # thousands of answers hang on them: to let go of all at once takes long, too
            groups.popitem()
            pause()
        return {"groups": counts, "examples": examples, "rows": cleaned_rows}

    def _examples(self, groups: Mapping[GroupKey, _GroupCount], pause: Callable[[], None]) -> Iterator[list[Any]]:
        """Yield the first example of each group, then the others, for as long as their texts take a second in all."""
        kept = [(key, list(group.examples())) for key, group in groups.items()]
        ordered = [(key, records[0]) for key, records in kept if records]
        ordered += [(key, record) for key, records in kept for record in records[1:]]
        spent = 0.0
        for key, record in ordered:
            pause()
            began = time.perf_counter()
            yield [*self._cleaned_key(key), wire(self._cleaned(record))]
            spent += time.perf_counter() - began
            if spent > _EXAMPLES_SECONDS:
                return

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
    """Clean values together with their names, as a header line is."""
    cleaned = {}
    for name, value in pairs.items():
        line = clean(f"{name}: {value}")
        cleaned[clean(name)] = line.partition(": ")[2]
    return cleaned


def _status_of(response: Any) -> int:
    """Return the status code; 0 when it is missing or invalid."""
    status = attribute(response, "status_code")
    return int(status) if isinstance(status, int) and 0 <= status <= _MOST_STATUS else 0


def _class_of(error: BaseException, status: int) -> Classification:
    """Classify a failure; as `other` when the exception cannot be inspected."""
    try:
        found = classify(error, status)
        if type(found.detail) is str and found.detail.isascii() and len(found.detail) <= LONGEST:  # nearly all
            return found
        return Classification(found.kind, safe(found.detail, LONGEST))
    except Exception:  # noqa: BLE001  properties of a test's own exception may raise anything
        return Classification(FailureClass.OTHER, type(error).__name__)


def _body_of(response: Any) -> bytes:
    """Return the part of the answer's body that was read already. Reads nothing itself."""
    for name in ("_content", "_cached_content"):
        body = attribute(response, name)
        if isinstance(body, bytes):
            return body
    return b""


def _user_class() -> str:
    """Return the class of the user whose greenlet this is: Locust starts each with the user as its only argument."""
    arguments = attribute(gevent.getcurrent(), "args")
    user = arguments[0] if arguments and isinstance(arguments, tuple) else None
    return type(user).__name__ if isinstance(user, User) else ""
