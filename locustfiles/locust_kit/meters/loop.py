"""How long gevent's loop stood still, and where: while one user's code blocks it, no other user of the process runs.

A timer in the loop notes its last turn. A thread of the operating system, which does not need the loop, reads the main
thread's stack as soon as the timer is late. The kernel's scheduler statistics show the cause: code that blocks the
loop, or a busy machine or a CPU limit that gave this process no CPU time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gevent
from locust.env import Environment

from locust_kit.guard import WarnOnce, guarded
from locust_kit.meters.reading import mapping, number, rows, whole
from locust_kit.meters.stall import BLOCKED, BUSY, STARVED, Stall
from locust_kit.meters.watch import LoopWatch

Document = dict[str, Any]

_MOST_PLACES, _OTHERS = 20, "other places"
_MOST_WORKERS = 5  # that a row of the timeline shows


@dataclass
class StallTally:
    """The stalls of one kind, or at one place."""

    count: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a stall."""
        self.count += 1
        self.seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)

    def include(self, document: Mapping[str, Any]) -> None:
        """Add the counts of another process."""
        self.count += whole(document.get("count"))
        self.seconds += number(document.get("seconds"))
        self.longest_seconds = max(self.longest_seconds, number(document.get("longest_ms")) / 1000)

    def document(self) -> Document:
        """Return the figures."""
        return {
            "count": self.count,
            "seconds": round(self.seconds, 3),
            "longest_ms": round(1000 * self.longest_seconds),
        }


class LoopMeter:
    """The stalls of this process's loop by kind; stalls caused by code also by place."""

    name = "loop"

    def __init__(self) -> None:
        self._watch: LoopWatch | None = None
        self._starting: gevent.Greenlet | None = None
        self._warn = WarnOnce("watching the loop")
        self._forget()

    def _forget(self) -> None:
        self._kinds = {kind: StallTally() for kind in (BLOCKED, STARVED, BUSY)}
        self._places: dict[str, StallTally] = {}
        self._observed_seconds = 0.0

    def listen(self, environment: Environment) -> None:
        """Stop watching at the end of a run: later work of users is in no figure of the run."""
        environment.events.test_stopping.add_listener(guarded(self.end))

    def begin(self) -> None:
        """Watch the loop of this thread from its next turn on.

        The test's own listeners of `test_start` come before that turn, and the first user comes after it.
        """
        self.end()
        self._forget()
        self._starting = gevent.spawn(self._start)

    def _start(self) -> None:
        try:
            self._watch = LoopWatch(self.add)
        except (OSError, AttributeError, RuntimeError) as error:  # RuntimeError: no thread more can be made
            self._warn(error)

    def end(self, **_: Any) -> None:
        """Stop watching; keep the counts."""
        if self._starting:
            self._starting.kill(block=False)
            self._starting = None
        if self._watch:
            self._watch.end()
            self._observed_seconds = self._watch.seconds()
            self._watch = None

    def add(self, stall: Stall) -> None:
        """Count a stall."""
        for kind, (seconds, place) in stall.parts().items():
            self._kinds[kind].add(seconds)
            if place:
                _at(self._places, place).add(seconds)

    def document(self) -> Document:
        """Return the stalls since the run's start."""
        seconds = self._watch.seconds() if self._watch else self._observed_seconds
        return {
            "observed_seconds": round(seconds, 3),
            **{kind: tally.document() for kind, tally in self._kinds.items()},
            "places": _by_seconds(self._places),
        }

    @staticmethod
    def merged(by_worker: Mapping[str, Document]) -> Document:
        """Return the stalls of all workers, and those of the worker with the longest stalls, by kind."""
        kinds = {kind: StallTally() for kind in (BLOCKED, STARVED, BUSY)}
        places: dict[str, StallTally] = {}
        for document in by_worker.values():
            for kind, tally in kinds.items():
                tally.include(mapping(document.get(kind)))
            for row in rows(document.get("places")):
                _at(places, str(row.get("place"))).include(row)
        return {
            "workers": len(by_worker),
            **{kind: tally.document() for kind, tally in kinds.items()},
            "places": _by_seconds(places),
            "worst": {kind: _worst(by_worker, kind) for kind, tally in kinds.items() if tally.count},
            "by_worker": _stalled(by_worker),
        }

    @staticmethod
    def moment(merged: Document) -> Document:
        """Return for how long the loops stood still so far, for the few workers with the longest times."""
        worst = mapping(mapping(merged.get("worst")).get(BLOCKED))
        return {"blocked_seconds": number(worst.get("seconds")), "by_worker": merged.get("by_worker") or {}}


def _worst(by_worker: Mapping[str, Document], kind: str) -> Document:
    """Return the figures of the worker with the most stalled seconds of a kind."""
    worker = max(by_worker, key=lambda name: _seconds(by_worker[name], kind))
    document = by_worker[worker]
    own = {"places": rows(document.get("places"))[:_MOST_PLACES]} if kind == BLOCKED else {}
    observed = number(document.get("observed_seconds"))
    return {"worker": worker, "observed_seconds": observed, **mapping(document.get(kind)), **own}


def _stalled(by_worker: Mapping[str, Document]) -> dict[str, dict[str, float]]:
    """Return the seconds of both kinds for the workers with the most; leave out workers without stalls."""
    seconds = {
        worker: {f"{kind}_seconds": _seconds(document, kind) for kind in (BLOCKED, STARVED)}
        for worker, document in by_worker.items()
    }
    worst = sorted(seconds, key=lambda worker: sum(seconds[worker].values()), reverse=True)[:_MOST_WORKERS]
    return {worker: seconds[worker] for worker in worst if any(seconds[worker].values())}


def _at(places: dict[str, StallTally], place: str) -> StallTally:
    """Return the tally of a place; above the limit, the tally of all other places."""
    if place not in places and len(places.keys() - {_OTHERS}) >= _MOST_PLACES:
        place = _OTHERS
    return places.setdefault(place, StallTally())


def _by_seconds(places: Mapping[str, StallTally]) -> list[Document]:
    most = sorted(places.items(), key=lambda item: item[1].seconds, reverse=True)
    return [{"place": place, **tally.document()} for place, tally in most]


def _seconds(document: Mapping[str, Any], kind: str) -> float:
    return number(mapping(document.get(kind)).get("seconds"))
