"""Locust's own tables, kept small: it has a row for each name and each text of an error, for as long as a run lasts.

Counts stay exact: what has no row of its own is counted in a row `(others)`.
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
    """What the errors of a worker are called in Locust's table: a worker's is emptied every 3 s, the master's never."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def begin(self) -> None:
        """Forget the run before."""
        self._seen.clear()

    def text(self, method: str, name: str, text: str, masked: Callable[[], str]) -> str:
        """Return an error's text; of one more than there is room for what `masked` returns, or `(others)`."""
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
    """The tables of a master. What a worker reports is renamed before Locust adds it, where there is no room for it."""

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
        """Return by method how many names have no row; of more than some hundred thousand that many."""
        return {method: len(names) for method, names in self._left_out.items()}

    def fit(self, report: dict[str, Any]) -> None:
        """Rename what there is no room for in a report that was found to be right."""
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
        """Put the less frequent names into `(others)` when there is no room for another one."""
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
        """Return the errors of a report by other names where there is no room for them."""
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
    """Yield what an error may be called, from its own name to one that it shares with all others."""
    yield method, name, text
    yield method, name, masked(safe(text, LONGEST_NAME)) or OTHERS
    yield method, name, OTHERS
    yield method, OTHERS, OTHERS
    yield OTHERS, OTHERS, OTHERS


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return two errors of one name as one."""
    first = [error["first_seen"] for error in (one, other) if error.get("first_seen") is not None]
    last = [error["last_seen"] for error in (one, other) if error.get("last_seen") is not None]
    return {
        **one,
        "occurrences": one["occurrences"] + other["occurrences"],
        "first_seen": min(first, default=None),
        "last_seen": max(last, default=None),
    }
