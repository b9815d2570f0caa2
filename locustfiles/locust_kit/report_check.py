"""Check a whole report of a worker before the master adds any part of it. Pure.

Within these bounds the master accepts any report. The check refuses reports that would break the master or its figures
for good: wrong types, numbers that are not a count or a time, moments far from now, and invalid names of files.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from locust_kit.failures.classes import FailureClass
from locust_kit.failures.records import GroupKey, Record
from locust_kit.loaded_files import MOST_FILES
from locust_kit.performance import LONGEST_MS
from locust_kit.worker_report import (
    COST_KEY,
    FAILURES_KEY,
    FILES_KEY,
    MEMORY_KEY,
    METERS_KEY,
    PROCESSES_KEY,
    REPORT_KEY,
    RETRIES_KEY,
)

MOST_COUNT = 10**9  # of anything within one report
MOST_NUMBER = 2.0**63
MOST_ITEMS, DEEPEST = 50_000, 12  # of a document that workers report of themselves
_CLOCKS_SECONDS = 2 * 86_400.0  # the clocks of two machines differ by less
_LONG_AGO_SECONDS = 400 * 86_400.0  # an endpoint that was idle in a long run keeps the time of its last request but one
_MOST_BUCKETS = 200_000
_SKETCH = range(-300, 1500)  # buckets 2 % apart: from 0.01 ms up to LONGEST_MS
_FIELDS = [field.name for field in dataclasses.fields(Record)]
_LENGTHS_OF_A_RECORD = range(_FIELDS.index("worker"), len(_FIELDS) + 1)
_MOST_STATUS = 999
_MOST_PROCESSES = 4096
_LONGEST_FILE_NAME = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}|")
_KEY = len(GroupKey._fields)
_GROUP, _EXAMPLE, _TIMES = _KEY + 3, _KEY + 1, 8

_CLASSES = frozenset(map(str, FailureClass))
_STATE_OF_ITSELF = (MEMORY_KEY, COST_KEY, METERS_KEY)


class ImpossibleError(ValueError):
    """A value that cannot be true. The text is the same for all errors of a kind; `value` is the value seen."""

    def __init__(self, reason: str, value: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


def check(report: Any, now: float) -> None:
    """Check a report of a worker, Locust's part and the plugin's; `now` is seconds since 1970.

    Raises:
        ImpossibleError: the report cannot be true.

    """
    _mapping(report, "the report")
    for key in ("stats", "stats_total", "errors", "user_classes_count"):
        if key not in report:
            raise ImpossibleError(f"{key} is missing")
    for entry in _listed(report["stats"], "stats"):
        _entry(entry, "stats", now)
        _text(entry.get("method"), "stats: method")
    _entry(report["stats_total"], "stats_total", now)
    if report["stats_total"].get("method", 0) is not None:  # None in Locust 2.44; missing, Locust's listener raises
        _text(report["stats_total"].get("method"), "stats_total: method")
    _errors(report["errors"], now)
    users(report["user_classes_count"])
    _count(report.get("user_count", 0), "user_count")
    if REPORT_KEY in report:
        _of_plugin(_mapping(report[REPORT_KEY], REPORT_KEY), now)


def has_figures(report: Any) -> bool:
    """Return whether a report contains requests; True also if it cannot be read."""
    try:
        total = report["stats_total"]
        return bool(report["stats"] or report["errors"] or total["num_requests"] or total["num_failures"])
    except (TypeError, KeyError, IndexError):
        return True


def users(counts: Any) -> None:
    """Check how many users of each class a worker has. Raises ImpossibleError."""
    for name, count in _mapping(counts, "user_classes_count").items():
        _text(name, "user_classes_count: a name")
        _count(count, "user_classes_count")


def number(value: Any, what: str, least: float = 0.0, most: float = MOST_NUMBER) -> None:
    """Check a number: finite, within bounds. Raises ImpossibleError."""
    if type(value) not in (int, float) or not least <= value <= most:
        raise ImpossibleError(f"{what} is not a number from {least:g} to {most:g}", value)


def document(value: Any, what: str, least: float = -MOST_NUMBER) -> None:
    """Check plain JSON of bounded size: texts, numbers from `least` on, lists, objects. Raises ImpossibleError."""
    left = MOST_ITEMS
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise ImpossibleError(f"{what} is larger than {MOST_ITEMS} values or deeper than {DEEPEST}")
        if isinstance(part, dict):
            if not all(type(key) in (str, int) for key in part):
                raise ImpossibleError(f"{what}: a key is not a text")
            waiting += [(inner, depth + 1) for inner in part.values()]
        elif isinstance(part, list):
            waiting += [(inner, depth + 1) for inner in part]
        elif type(part) in (int, float):
            number(part, f"{what}: a value", least)
        elif not (part is None or isinstance(part, str | bool)):
            raise ImpossibleError(f"{what} contains a value that is not JSON", part)


def file_name(name: Any) -> bool:
    """Return whether this can be the path of a file below a folder."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_FILE_NAME
        and name.isprintable()
        and not name.startswith("/")
        and ".." not in name.split("/")
    )


def _of_plugin(part: dict[Any, Any], now: float) -> None:
    for name, digest in _mapping(part.get(FILES_KEY, {}), FILES_KEY, MOST_FILES).items():
        if not file_name(name):
            raise ImpossibleError(f"{FILES_KEY}: not a path below the locustfiles' folder", name)
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise ImpossibleError(f"{FILES_KEY}: not a digest", digest)
    _count(part.get(RETRIES_KEY, 0), RETRIES_KEY)
    number(part.get(PROCESSES_KEY, 1), PROCESSES_KEY, 1, _MOST_PROCESSES)
    for key in _STATE_OF_ITSELF:
        if key in part:
            document(_mapping(part[key], key), key)
    if FAILURES_KEY in part:
        _failures(_mapping(part[FAILURES_KEY], FAILURES_KEY), now)


def _entry(entry: Any, what: str, now: float) -> None:
    """Check the statistics of one endpoint, or of all. Locust has a default for each figure except the name."""
    get = _mapping(entry, what).get
    _text(get("name"), f"{what}: name")
    requests = _count(get("num_requests", 0), f"{what}: num_requests")
    failures = _count(get("num_failures", 0), f"{what}: num_failures")
    if _count(get("num_none_requests", 0), f"{what}: num_none_requests") > requests:
        raise ImpossibleError(f"{what}: num_none_requests is more than num_requests", get("num_none_requests"))
    number(get("total_response_time", 0), f"{what}: total_response_time")
    number(get("total_content_length", 0), f"{what}: total_content_length")
    number(get("max_response_time", 0), f"{what}: max_response_time", 0, LONGEST_MS)
    if get("min_response_time") is not None:
        number(get("min_response_time"), f"{what}: min_response_time", 0, LONGEST_MS)
    if get("last_request_timestamp") is not None:
        _moment(get("last_request_timestamp"), f"{what}: last_request_timestamp", now)
    _moment(get("start_time", now), f"{what}: start_time", now, _LONG_AGO_SECONDS)
    _buckets(get("response_times", {}), f"{what}: response_times", 0, LONGEST_MS, requests)
    since, until = now - _CLOCKS_SECONDS, now + _CLOCKS_SECONDS
    _buckets(get("num_reqs_per_sec", {}), f"{what}: num_reqs_per_sec", since, until, requests)
    _buckets(get("num_fail_per_sec", {}), f"{what}: num_fail_per_sec", since, until, failures)


def _errors(errors: Any, now: float) -> None:
    for key, error in _mapping(errors, "errors").items():
        _text(key, "errors: a key")
        get = _mapping(error, "errors").get
        for field in ("name", "error"):
            _text(get(field), f"errors: {field}")
        _text(get("method"), "errors: method")
        _count(get("occurrences"), "errors: occurrences")
        for field in ("first_seen", "last_seen"):
            if get(field) is not None:
                _moment(get(field), f"errors: {field}", now)


def _failures(part: dict[Any, Any], now: float) -> None:
    for row in _rows(part.get("groups"), "groups", _GROUP):
        _group_key(row)
        _count(row[_KEY], "groups: count")
        _moment(row[_KEY + 1], "groups: first", now)
        _moment(row[_KEY + 2], "groups: last", now)
    for row in _rows(part.get("examples"), "examples", _EXAMPLE):
        _group_key(row)
        _record(row[_KEY], now)
    for row in _listed(part.get("rows"), "rows"):
        _record(row, now)
    for method, name, good, good_ms, failed, failed_ms, slow, slow_ms in _rows(
        part.get("performance"), "performance", _TIMES
    ):
        _text(method, "performance: method")
        _text(name, "performance: name")
        for buckets, total in ((good, good_ms), (failed, failed_ms)):
            _buckets(buckets, "performance: times", _SKETCH.start, _SKETCH.stop, MOST_COUNT)
            number(total, "performance: a total")
        _count(slow, "performance: slow")
        number(slow_ms, "performance: slow_ms")


def _group_key(row: list[Any]) -> None:
    for value in row[:_KEY]:
        _text(value, "a group of failures")
    _class(row[GroupKey._fields.index("kind")])


def _record(row: Any, now: float) -> None:
    """Check a failure on the wire, in the order of Record's fields; those from `worker` on may be missing."""
    if not isinstance(row, list) or len(row) not in _LENGTHS_OF_A_RECORD:
        raise ImpossibleError("a record of a failure has an unexpected form", row)
    at, user_class, method, name, url, status, response_ms, length, exception, message, kind, detail, *more = row
    _moment(at, "a failure's time", now)
    for value in (user_class, method, name, url, exception, message, kind, detail, *more[:1], *more[4:]):
        _text(value, "a failure's text")
    _class(kind)
    number(status, "a failure's status", 0, _MOST_STATUS)
    number(response_ms, "a failure's response time", 0, LONGEST_MS)
    number(length, "a failure's length")
    for value in more[1:2]:
        number(value, "the represents value of a row", 0, MOST_COUNT)
    for pairs in more[2:4]:
        for pair in _mapping(pairs, "a failure's details").items():
            for value in pair:
                _text(value, "a failure's details")


def _class(kind: Any) -> None:
    if kind not in _CLASSES:
        raise ImpossibleError("not a class of failures", kind)


def _moment(value: Any, what: str, now: float, before: float = _CLOCKS_SECONDS) -> None:
    if type(value) not in (int, float) or not now - before <= value <= now + _CLOCKS_SECONDS:
        raise ImpossibleError(f"{what} is too far from now: check the worker's clock", value)


def _count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value <= MOST_COUNT:
        raise ImpossibleError(f"{what} is not a count from 0 to {MOST_COUNT:,}", value)
    return value


def _text(value: Any, what: str) -> None:
    if type(value) is not str:
        raise ImpossibleError(f"{what} is not a text", value)


def _buckets(value: Any, what: str, least: float, most: float, together: int) -> None:
    """Check counts by number; `together` is the most that they may add up to."""
    total = 0
    for key, count in _mapping(value, what, _MOST_BUCKETS).items():
        if type(key) not in (int, float) or not least <= key <= most:
            raise ImpossibleError(f"{what}: a key is out of range", key)
        if type(count) is not int or count < 0:
            raise ImpossibleError(f"{what}: not a count", count)
        total += count
    if total > together:
        raise ImpossibleError(f"{what} counts more than the total", total)


def _mapping(value: Any, what: str, most: int = MOST_COUNT) -> dict[Any, Any]:
    if not isinstance(value, dict) or len(value) > most:
        raise ImpossibleError(f"{what} is not an object, or is too large", value)
    return value


def _listed(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ImpossibleError(f"{what} is not a list", value)
    return value


def _rows(value: Any, what: str, length: int) -> list[list[Any]]:
    rows = _listed(value, what)
    for row in rows:
        if not isinstance(row, list) or len(row) != length:
            raise ImpossibleError(f"{what}: a row has an unexpected form", row)
    return rows
