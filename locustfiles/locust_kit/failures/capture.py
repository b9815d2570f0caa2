"""Count every failure on the worker where it happens, without I/O and without yielding.

The listener keeps a limited number of groups between two reports, of rows in a second, and of examples of each group.
The greenlet that sends a report removes secrets from the texts. No text leaves this process before that.
"""

from __future__ import annotations

import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gevent
from locust.user.users import User

from locust_kit import places
from locust_kit.failures.assertions import PLACE
from locust_kit.failures.classes import FailureClass
from locust_kit.failures.classify import Classification, classify
from locust_kit.failures.mask import LONGEST, Masker
from locust_kit.failures.records import LATEST, GroupKey, Record, plain, trace_of, wire
from locust_kit.failures.settings import CaptureSettings, Cleaner, Level
from locust_kit.performance import milliseconds
from locust_kit.texts import LONGEST_NAME, OTHERS, attribute, safe

MOST_GROUPS = 500  # between two reports, and as many more of `(others)` by endpoint
RESERVOIR = 50
MOST_CLEANED = 45_000
"""How much cleaning a report may cost, in units of `Cleaner`: about 15 ms in the 3 s between two reports."""
_FOR_GROUPS, _FOR_ROWS = 0.4, 0.75  # of it, until the groups are named; until the rows are clean
_RECORD_COST = 60  # of a record beyond its texts
_TASK = "TASK"
_LONGEST_URL = 2000
_MOST_HEADERS = 40
_MOST_STATUS = 999

_IN_FULL = -1
_LIBRARY_FRAME = re.compile(r"(?<!\S)/\S*/site-packages/\S+ in \w+, ")
_EVERY = 8  # above the full rows of a second, one of so many failures of a group becomes an example

Example = tuple[Record | tuple[Any, ...], Any, bytes]
"""A record or its parts; the headers of its answer; the first part of the body."""


class _GroupCount:
    """The failures of a group since the last report; its examples are the first and the latest one."""

    __slots__ = ("beginning", "count", "first", "last", "latest")

    def __init__(self, at: float) -> None:
        self.count, self.first, self.last = 0, at, at
        self.beginning: Example | None = None
        self.latest: deque[Example] = deque(maxlen=LATEST)

    def exemplify(self, example: Example) -> None:
        if self.beginning is None:
            self.beginning = example
        else:
            self.latest.append(example)

    def examples(self) -> Iterator[Record]:
        """Make the records only now: later examples have replaced most of them. The latest example is the second."""
        for noted, headers, body in (self.beginning, *reversed(self.latest)) if self.beginning else ():
            record = noted if isinstance(noted, Record) else Record(*noted)
            if isinstance(headers, Mapping):
                record.headers = plain(headers, most=_MOST_HEADERS)
            record.body = body.decode("utf-8", "replace")
            yield record


class Capture:
    """The failures since the last report: counts, rows and examples."""

    def __init__(self, settings: CaptureSettings, clean: Cleaner, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clean = clean
        self.masker = Masker()
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
        """Count a failed request, whose length is already clean; keep nothing of a successful one."""
        if exception is None:
            return
        status = _status_of(response)
        error = exception if isinstance(exception, BaseException) else Exception(safe(exception, 2 * LONGEST))
        kind, detail = _class_of(error, status)
        message = _said(error)
        at = self._clock()
        method, name = safe(request_type, LONGEST_NAME), safe(name, LONGEST_NAME)
        counted = self._count(at, method, name, kind, detail, message)
        if self._settings.level < Level.EXEMPLARS:
            return
        place = self._place(at)
        if place is None and counted.count > LATEST and counted.count % _EVERY:
            return
        fields: tuple[Any, ...] = (  # in the order of Record's fields: names would cost as much as a record
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
            {},  # headers and body are read at the report, only for the examples that stay
            "",
            trace_of(response),
        )
        noted = fields if place is None else self._keep(Record(*fields), place)
        body = _body_of(response)[: self._settings.body_bytes]
        counted.exemplify((noted, attribute(response, "headers"), body))

    def on_user_error(self, user_instance: Any, exception: BaseException, tb: Any = None, **_: Any) -> None:
        """Count an exception in a task, which is not a request for Locust; Locust passes the task set as the user."""
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
            message=_said(exception),
            kind=FailureClass.TASK_ERROR,
            detail=type(exception).__name__,
        )
        counted = self._count(record.at, _TASK, record.name, record.kind, record.detail, record.message)
        if self._settings.level >= Level.EXEMPLARS:
            counted.exemplify((record, None, b""))
        if (place := self._place(record.at)) is not None:
            self._keep(record, place)

    def _count(self, at: float, method: str, name: str, kind: FailureClass, detail: str, message: str) -> _GroupCount:
        """Count a failure in its group; make the group if it is new and there is space."""
        text = self.masker.masked(message, at) if self._settings.level >= Level.GROUPS else ""
        key = GroupKey(method, name, kind, detail, OTHERS if text is None else text)
        if (counted := self._groups.get(key)) is None:
            room = len(self._groups)
            if room >= MOST_GROUPS:
                key = key._replace(message=OTHERS)
            if room >= 2 * MOST_GROUPS:
                key = key._replace(name=OTHERS)
            if room >= 3 * MOST_GROUPS:
                key = GroupKey(OTHERS, OTHERS, kind, "", OTHERS)
            counted = self._groups.setdefault(key, _GroupCount(at))
        counted.count += 1
        counted.last = at
        return counted

    def _place(self, at: float) -> int | None:
        """Return the place of a failure's row: among the full rows, an index in the sample, or no place (None)."""
        second = int(at)
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second <= self._settings.records_per_second:
            return _IN_FULL
        if self._settings.level < Level.FULL:
            return None
        self._beyond += 1
        if len(self._sample) < RESERVOIR:
            return len(self._sample)
        place = int(random.random() * self._beyond)  # noqa: S311  a sample, no secret
        return place if place < RESERVOIR else None

    def _keep(self, record: Record, place: int) -> Record:
        if self._settings.level < Level.FULL:
            return record
        if place == _IN_FULL:
            self._rows.append(record)
        elif place == len(self._sample):
            self._sample.append(record)
        else:
            self._sample[place] = record
        return record

    def report(self, pause: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Return the failures since the last report in the wire format, and delete them here: the master keeps them.

        Cleaning has a limit: names of large groups come first, and small groups may count in `(others)`; rows and
        examples may become a sample. `pause` is called between any two texts.
        """
        groups, self._groups = self._groups, {}
        rows, self._rows = self._rows, []
        sample, self._sample = self._sample, []
        beyond, self._beyond = self._beyond, 0
        for record in sample:
            record.represents = beyond / len(sample)
        limit = self._clean.spent + MOST_CLEANED
        names = self._names(groups, limit - MOST_CLEANED * (1 - _FOR_GROUPS), pause)
        counts: dict[GroupKey, list[Any]] = {}
        for key, name in names.items():
            group = groups[key]
            count, first, last = counts.setdefault(name, [0, group.first, group.last])
            counts[name] = [count + group.count, min(first, group.first), max(last, group.last)]
        cleaned_rows = self._sampled([*rows, *sample], limit - MOST_CLEANED * (1 - _FOR_ROWS), pause)
        examples = list(self._examples(groups, names, limit, pause))
        while groups:  # they hold many answers: to free all at once would also take long
            groups.popitem()
            pause()
        return {
            "groups": [[*key, *figures] for key, figures in counts.items()],
            "examples": examples,
            "rows": cleaned_rows,
        }

    def _names(
        self, groups: Mapping[GroupKey, _GroupCount], limit: float, pause: Callable[[], None]
    ) -> dict[GroupKey, GroupKey]:
        """Return the name without secrets of each group, by its key; the largest first, the rest in `(others)`."""
        names = {}
        for key in sorted(groups, key=lambda key: -groups[key].count):
            pause()
            is_named = self._clean.spent < limit
            names[key] = self._cleaned_key(key) if is_named else key._replace(name=OTHERS, message=OTHERS)
        return names

    def _sampled(self, records: list[Record], limit: float, pause: Callable[[], None]) -> list[list[Any]]:
        """Return rows in the wire format; if there are too many, a random sample that represents all."""
        places = list(range(len(records)))
        random.shuffle(places)
        cleaned: dict[int, Record] = {}
        for place in places:
            pause()
            if cleaned and self._clean.spent >= limit:
                break
            cleaned[place] = self._cleaned(records[place])
        if len(cleaned) < len(records):
            share = sum(record.represents for record in cleaned.values()) / sum(row.represents for row in records)
            for record in cleaned.values():
                record.represents /= share
        return [wire(cleaned[place]) for place in sorted(cleaned)]

    def _examples(
        self,
        groups: Mapping[GroupKey, _GroupCount],
        names: Mapping[GroupKey, GroupKey],
        limit: float,
        pause: Callable[[], None],
    ) -> Iterator[list[Any]]:
        """Yield the first example of each group, then the latest, in an order that changes from report to report."""
        waiting = [(names[key], group.examples()) for key, group in groups.items()]
        random.shuffle(waiting)
        while waiting:
            unfinished = []
            for name, examples in waiting:
                pause()
                if self._clean.spent >= limit:
                    return
                if (record := next(examples, None)) is not None:
                    yield [*name, wire(self._cleaned(record))]
                    unfinished.append((name, examples))
            waiting = unfinished

    def _cleaned_key(self, key: GroupKey) -> GroupKey:
        return key._replace(name=self._clean(key.name), message=self._clean(key.message))

    def _cleaned(self, record: Record) -> Record:
        clean = self._clean
        clean.spent += _RECORD_COST
        return replace(
            record,
            name=clean(record.name),
            url=clean(record.url),
            message=clean(record.message),
            body=clean(record.body),
            context=_cleaned_pairs(record.context, clean),
            headers=_cleaned_pairs(record.headers, clean),
        )


def _cleaned_pairs(pairs: Mapping[str, str], clean: Cleaner) -> dict[str, str]:
    """Clean values together with their names, like a header line."""
    cleaned = {}
    for name, value in pairs.items():
        line = clean(f"{name}: {value}")
        cleaned[clean(name)] = line.partition(": ")[2]
    return cleaned


def _status_of(response: Any) -> int:
    """Return the status code; 0 when it is missing or invalid."""
    status = attribute(response, "status_code")
    return int(status) if isinstance(status, int) and 0 <= status <= _MOST_STATUS else 0


def _said(error: BaseException) -> str:
    """Return an error's text; its type if the text is empty, and its line if nothing else identifies it.

    Locust's `rest()` adds frames to the text; only frames of the user's code stay.
    """
    text, place = safe(error, 2 * LONGEST), attribute(error, PLACE, "")
    if "/site-packages/" in text:
        text = _LIBRARY_FRAME.sub("", text)
    return f"{text} ({place})" if place else text or type(error).__name__


def _class_of(error: BaseException, status: int) -> Classification:
    """Classify a failure; as `other` if the exception cannot be inspected."""
    try:
        found = classify(error, status)
        if type(found.detail) is str and found.detail.isascii() and len(found.detail) <= LONGEST:  # nearly all
            return found
        return Classification(found.kind, safe(found.detail, LONGEST))
    except Exception:  # noqa: BLE001  properties of a test's own exception may raise anything
        return Classification(FailureClass.OTHER, type(error).__name__)


def _body_of(response: Any) -> bytes:
    """Return the part of the answer's body that is already read. Reads nothing itself."""
    for name in ("_content", "_cached_content"):
        body = attribute(response, name)
        if isinstance(body, bytes):
            return body
    return b""


def _user_class() -> str:
    """Return the class of this greenlet's user: Locust starts a greenlet with the user as its only argument."""
    arguments = attribute(gevent.getcurrent(), "args")
    user = arguments[0] if arguments and isinstance(arguments, tuple) else None
    return type(user).__name__ if isinstance(user, User) else ""
