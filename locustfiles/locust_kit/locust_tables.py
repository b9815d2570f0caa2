"""Limit Locust's own tables: during a run Locust keeps a row for each name and for each text of an error.

Counts stay exact: a row `(others)` counts everything without a row of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from locust.env import Environment
from locust.stats import StatsError

from locust_kit.failures.mask import Masker
from locust_kit.guard import follow_resets, guarded
from locust_kit.memory import give_back
from locust_kit.texts import LONGEST_NAME, OTHERS, safe

MOST_ERRORS = 500  # with their texts as they are; as many more with masked texts, and as many endpoints' `(others)`
MOST_NAMES, KEPT_NAMES = 4000, 2000  # at so many names, only the most frequent keep their rows
_MOST_METHODS, _MOST_COUNTED = 20, 200_000
_MOST_WITH_CACHE = 100
_TRIM_SECONDS = 3.0

Call = tuple[str, str, str]


class WorkerErrors:
    """The names of a worker's errors in Locust's table. A worker's table is emptied every 3 s, the master's never."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def begin(self) -> None:
        """Forget the run before."""
        self._seen.clear()

    def text(self, method: str, name: str, text: str, masked: Callable[[], str]) -> str:
        """Return an error's text; if there is no space for it, the masked text or `(others)`."""
        if self._has_room(hash((method, name, text)), MOST_ERRORS):
            return text
        text = masked()
        return text if self._has_room(hash((method, name, text)), 2 * MOST_ERRORS) else OTHERS

    def _has_room(self, key: int, most: int) -> bool:
        if key not in self._seen:
            if len(self._seen) >= most:
                return False
            self._seen.add(key)
        return True


class LocustTables:
    """The tables of a master. If there is no space for a reported row, it is renamed before Locust adds it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._masker = Masker()
        self._given_back = 0.0
        self._left_out: dict[str, set[int]] = {}  # names by method, as numbers: there may be very many
        environment.events.test_start.add_listener(guarded(self._begin))
        follow_resets(environment, self._begin)

    def _begin(self, **_: Any) -> None:
        self._left_out.clear()

    def names_left_out(self) -> dict[str, int]:
        """Return how many names have no row, by method; at most some hundred thousand."""
        return {method: len(names) for method, names in self._left_out.items()}

    def fit(self, report: dict[str, Any]) -> None:
        """Rename the rows of a checked report for which there is no space."""
        room = MOST_NAMES - len(self._environment.stats.entries)
        for row in report["stats"]:
            if (row["name"], row["method"]) in self._environment.stats.entries:
                continue
            if room > 0 and hash(row["name"]) not in self._left_out.get(row["method"], ()):
                room -= 1
            else:
                row["method"], row["name"] = self._leave_out(row["method"], row["name"]), OTHERS
        report["errors"] = self._fitted(report["errors"])

    def shrink(self) -> None:
        """Put the less frequent names into `(others)` if there is no space for another one."""
        entries = self._environment.stats.entries
        wants_history = getattr(self._environment.parsed_options, "stats_history_enabled", False)
        if len(entries) > _MOST_WITH_CACHE and not wants_history:
            for entry in entries.values():  # twenty copies of its times, which --csv-full-history alone asks for
                entry.response_times_cache = None
        if len(entries) > KEPT_NAMES // 2 and time.monotonic() - self._given_back >= _TRIM_SECONDS:
            self._given_back = time.monotonic()
            give_back()  # reports of thousands of names: a sixth of the memory
        if len(entries) < MOST_NAMES:
            return
        named = [entry for entry in entries.values() if entry.name != OTHERS]
        for entry in sorted(named, key=lambda entry: -entry.num_requests)[KEPT_NAMES:]:
            del entries[entry.name, entry.method]
            entries[OTHERS, self._leave_out(entry.method, entry.name)].extend(entry)

    def _leave_out(self, method: str, name: str) -> str:
        """Count a name without a row; return the method of the row that it is in."""
        if method not in self._left_out and len(self._left_out) >= _MOST_METHODS:
            method = OTHERS
        names = self._left_out.setdefault(method, set())
        if len(names) < _MOST_COUNTED and name != OTHERS:
            names.add(hash(name))
        return method

    def _fitted(self, errors: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the errors of a report, renamed if there is no space for them."""
        known = self._environment.stats.errors
        fitted: dict[str, dict[str, Any]] = {}
        count, masked = len(known), partial(self._masker.masked, at=time.time())
        for first_key, error in errors.items():
            key, most = first_key, 0
            for call in calls(error["method"], error["name"], error["error"], masked):
                most += MOST_ERRORS
                key = StatsError.create_key(*call) if most > MOST_ERRORS else first_key
                if key in known or key in fitted or count < most:
                    break
            count += key not in known and key not in fitted
            named = {**error, **dict(zip(("method", "name", "error"), call, strict=True))}
            fitted[key] = _together(fitted[key], named) if key in fitted else named
        return fitted


def calls(method: str, name: str, text: str, masked: Callable[[str], str | None]) -> Iterator[Call]:
    """Yield the possible names of an error, from its own name to the one shared with all others."""
    yield method, name, text
    yield method, name, masked(safe(text, LONGEST_NAME)) or OTHERS
    yield method, name, OTHERS
    yield method, OTHERS, OTHERS
    yield OTHERS, OTHERS, OTHERS


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Merge two errors of the same name."""
    first = [error["first_seen"] for error in (one, other) if error.get("first_seen") is not None]
    last = [error["last_seen"] for error in (one, other) if error.get("last_seen") is not None]
    return {
        **one,
        "occurrences": one["occurrences"] + other["occurrences"],
        "first_seen": min(first, default=None),
        "last_seen": max(last, default=None),
    }
