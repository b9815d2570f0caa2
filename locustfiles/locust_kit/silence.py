"""Find silent workers: they send heartbeats but no reports, so the requests of their users are not counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from locust_kit.run_folder import rfc3339

SILENT_SECONDS = 10.0
"""How long a worker with users may send no report: Locust sends one every 3 s, also without requests."""


@dataclass(frozen=True, slots=True)
class WorkerAtWork:
    """The state of a worker whose heartbeats arrive."""

    name: str
    users: int


@dataclass(frozen=True, slots=True)
class _Silent:
    """Start, length and largest number of users of a time in which a worker reported nothing."""

    at: float
    seconds: float
    users: int


class Silence:
    """Watches the workers' reports once a second. Time in which the master itself stood still does not count."""

    def __init__(self, limit_seconds: float = SILENT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Forget the run before; `now` is seconds since 1970, as everywhere here."""
        self._began = now
        self._heard: set[str] = set()
        self._worked: dict[str, int] = {}
        self._looks: dict[str, int] = {}
        self._silent: dict[str, list[_Silent]] = {}

    def heard(self, worker: str) -> None:
        """Note a report, whatever its content is."""
        self._heard.add(worker)
        self._looks.pop(worker, None)

    def look(self, workers: Iterable[WorkerAtWork], now: float) -> None:
        """Check the workers that have users, once a second while a run goes on."""
        looks: dict[str, int] = {}
        for worker in workers:
            looks[worker.name] = count = self._looks.get(worker.name, 0) + 1
            self._worked[worker.name] = max(worker.users, self._worked.get(worker.name, 0))
            if (looked_for := count - 1) >= self._limit_seconds:  # at least so many seconds since its last report
                self._note(worker, looked_for, now)
        self._looks = looks

    def end(self, present: Iterable[str], now: float) -> None:
        """Note the workers that had users and still run, but never reported in this run."""
        for name in present:
            if name in self._worked and name not in self._heard and name not in self._silent:
                self._silent[name] = [_Silent(self._began, now - self._began, self._worked[name])]

    def document(self) -> list[dict[str, Any]]:
        """Return each silence, for the status document and the end of the run."""
        return [
            {
                "worker": name,
                "at": rfc3339(datetime.fromtimestamp(silent.at, UTC)),
                "seconds": round(silent.seconds, 1),
                "users": silent.users,
            }
            for name, silences in self._silent.items()
            for silent in silences
        ]

    @property
    def workers(self) -> int:
        """Return how many workers were silent so far."""
        return len(self._silent)

    def _note(self, worker: WorkerAtWork, seconds: int, now: float) -> None:
        silences = self._silent.setdefault(worker.name, [])
        if seconds > self._limit_seconds and silences:
            last = silences.pop()
            silences.append(replace(last, seconds=now - last.at, users=max(last.users, worker.users)))
        else:
            silences.append(_Silent(now - seconds, float(seconds), worker.users))
