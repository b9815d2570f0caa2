"""How long gevent's loop stood still, and where: while one user's code holds it, no other user of the process goes on.

A timer in the loop notes when it last came round. A thread of the operating system, which needs no loop, looks at the
main thread's stack as soon as the timer is late. What the processor's scheduler says then tells code that holds the
loop from a machine, or a CPU limit, that gave this process no processor.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent.monkey import get_original
from locust.env import Environment

from locust_kit.guard import WarnOnce, guarded
from locust_kit.meters.stack import StackSample, sample

Document = dict[str, Any]

TICK_SECONDS = 0.05
STALL_SECONDS = 0.1
"""What is shorter is no stall."""

BLOCKED, STARVED, BUSY = "blocked", "starved", "busy"
"""Code held the loop; the process got no processor; so many users were ready at once that a round took that long."""

HOLDS_THE_INTERPRETER = "C code that holds the interpreter lock"
_FIRST_LOOK_SECONDS = 0.05  # after the timer was due: two looks at a stall of a little over 100 ms
_LOOK_SHARE = 1 / 8  # of a long stall passes between two looks
_MOST_PLACES, _OTHERS = 20, "other places"
_MOST_WORKERS = 5  # of which a row of the timeline tells
_SCHEDSTAT = Path("/proc/self/schedstat")


@dataclass
class StallTally:
    """Stalls of one kind, or at one place."""

    count: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a stall."""
        self.count += 1
        self.seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)

    def include(self, document: Mapping[str, Any]) -> None:
        """Count what another process counted."""
        self.count += int(_number(document.get("count")))
        self.seconds += _number(document.get("seconds"))
        self.longest_seconds = max(self.longest_seconds, _number(document.get("longest_ms")) / 1000)

    def document(self) -> Document:
        """Return the figures."""
        return {
            "count": self.count,
            "seconds": round(self.seconds, 3),
            "longest_ms": round(1000 * self.longest_seconds),
        }


@dataclass(frozen=True, slots=True)
class Stall:
    """One time for which the loop stood still.

    Attributes:
        seconds: how long, within half a tick.
        cpu_seconds: processor time that the main thread used meanwhile.
        waited_seconds: for how long it was ready and got no processor; None where the kernel does not say.
        samples: where it was at each look.
        unseen_seconds: how long the first look took to come: C code may hold the interpreter lock, which looks need.

    """

    seconds: float
    cpu_seconds: float
    waited_seconds: float | None
    samples: Sequence[StackSample]
    unseen_seconds: float = 0.0

    def parts(self) -> dict[str, tuple[float, str]]:
        """Return how long it was of which kind, and where; a part that is no stall by itself is left out.

        Code that would have held the loop for 100 ms on a processor of its own is the cause of all of it.
        """
        starved = min(self.seconds, self.waited_seconds or 0.0)
        own = self.seconds - starved
        kind, place = self._cause()
        if kind == STARVED or (kind == BLOCKED and own >= STALL_SECONDS):
            return {kind: (self.seconds, place)}
        parts = {STARVED: (starved, ""), kind: (own, place)}
        return {name: part for name, part in parts.items() if part[0] >= STALL_SECONDS}

    def _cause(self) -> tuple[str, str]:
        """Return which kind it is, apart from its waiting for a processor, and the place of code that held the loop."""
        computed = self.cpu_seconds >= (self.seconds - (self.waited_seconds or 0.0)) / 2
        in_code = [seen for seen in self.samples if seen.place]
        if not computed:  # it stood in a call of the system, or was paused; users that are ready do neither
            place, _ = _most(seen.place for seen in in_code if not seen.is_client)
            return (BLOCKED, place) if place else (STARVED, "")
        if self.unseen_seconds >= STALL_SECONDS and 2 * (self.waited_seconds or 0.0) < self.seconds:
            first = in_code[0] if in_code else None
            return BLOCKED, first.place if first and not first.is_client else HOLDS_THE_INTERPRETER
        greenlet, looks = _most(seen.greenlet for seen in in_code)
        if looks > 1 and 2 * looks > len(self.samples):
            return BLOCKED, _most(seen.place for seen in in_code if seen.greenlet == greenlet)[0]
        place, looks = _most(seen.place for seen in in_code if not seen.is_client)
        return (BLOCKED, place) if 2 * looks > len(self.samples) else (BUSY, "")


def _most(values: Iterable[Any]) -> tuple[Any, int]:
    """Return the most frequent value, and how often it came; ("", 0) without any."""
    return next(iter(Counter(values).most_common(1)), ("", 0))


class LoopMeter:
    """Stalls of this process's loop, by kind, and of those by code also by place."""

    name = "loop"

    def __init__(self) -> None:
        self._watch: LoopWatch | None = None
        self._forget()

    def _forget(self) -> None:
        self._kinds = {kind: StallTally() for kind in (BLOCKED, STARVED, BUSY)}
        self._places: dict[str, StallTally] = {}
        self._observed_seconds = 0.0

    def listen(self, environment: Environment) -> None:
        """Stop watching as a run ends: what users do from then on is in no figure of the run."""
        environment.events.test_stopping.add_listener(guarded(self.end))

    def begin(self) -> None:
        """Watch the loop of this thread from now on."""
        self.end()
        self._forget()
        self._watch = LoopWatch(self.add)

    def end(self, **_: Any) -> None:
        """Watch no more; what was counted stays."""
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
        """Return the stalls of all workers, and those of the worker that stood still the longest, by kind."""
        kinds = {kind: StallTally() for kind in (BLOCKED, STARVED, BUSY)}
        places: dict[str, StallTally] = {}
        for document in by_worker.values():
            for kind, tally in kinds.items():
                tally.include(_object(document.get(kind)))
            for row in _rows(document):
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
        """Return for how long the loops stood still so far, of the few workers with the most of it."""
        worst = _object(_object(merged.get("worst")).get(BLOCKED))
        return {"blocked_seconds": _number(worst.get("seconds")), "by_worker": merged.get("by_worker") or {}}


def _worst(by_worker: Mapping[str, Document], kind: str) -> Document:
    """Return the figures of the worker with the most stalled seconds of a kind."""
    worker = max(by_worker, key=lambda name: _seconds(by_worker[name], kind))
    document = by_worker[worker]
    own = {"places": _rows(document)[:_MOST_PLACES]} if kind == BLOCKED else {}
    observed = _number(document.get("observed_seconds"))
    return {"worker": worker, "observed_seconds": observed, **_object(document.get(kind)), **own}


def _stalled(by_worker: Mapping[str, Document]) -> dict[str, dict[str, float]]:
    """Return the seconds of both kinds of the workers with the most of them; of a worker without stalls nothing."""
    seconds = {
        worker: {f"{kind}_seconds": _seconds(document, kind) for kind in (BLOCKED, STARVED)}
        for worker, document in by_worker.items()
    }
    worst = sorted(seconds, key=lambda worker: sum(seconds[worker].values()), reverse=True)[:_MOST_WORKERS]
    return {worker: seconds[worker] for worker in worst if any(seconds[worker].values())}


def _at(places: dict[str, StallTally], place: str) -> StallTally:
    """Return the tally of a place, that of all others once there are enough."""
    if place not in places and len(places.keys() - {_OTHERS}) >= _MOST_PLACES:
        place = _OTHERS
    return places.setdefault(place, StallTally())


def _by_seconds(places: Mapping[str, StallTally]) -> list[Document]:
    most = sorted(places.items(), key=lambda item: item[1].seconds, reverse=True)
    return [{"place": place, **tally.document()} for place, tally in most]


def _rows(document: Mapping[str, Any]) -> list[Document]:
    places = document.get("places")
    return [row for row in (places if isinstance(places, list) else []) if isinstance(row, dict)]


def _seconds(document: Mapping[str, Any], kind: str) -> float:
    return _number(_object(document.get(kind)).get("seconds"))


def _object(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    """Return a finite number of 0 or more; 0 for anything else that a worker may have sent."""
    is_number = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if is_number else 0.0  # type: ignore[arg-type]


class LoopWatch:
    """A timer in the loop of the thread that makes it, and the thread that watches the timer."""

    def __init__(self, on_stall: Callable[[Stall], None]) -> None:
        self._on_stall = on_stall
        self._thread = get_original("_thread", "get_ident")()
        self._warn = WarnOnce("measuring the loop")
        self._samples: list[tuple[float, float, StackSample]] = []
        self._is_over = False
        with contextlib.suppress(OSError):
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        self._began = self._at = time.perf_counter()
        self._cpu, self._waited = time.thread_time(), self._scheduler()
        self._timer = gevent.get_hub().loop.timer(TICK_SECONDS, TICK_SECONDS, ref=False)
        self._timer.start(self._tick)
        get_original("_thread", "start_new_thread")(self._look, ())

    _schedstat = -1

    def end(self) -> None:
        """End both. A stall of this moment does not count: it may be the user's own end of the run, heard before us."""
        self._is_over = True
        self._timer.stop()
        self._timer.close()
        if self._schedstat >= 0:
            os.close(self._schedstat)

    def seconds(self) -> float:
        """Return for how long the loop has been watched."""
        return (self._at if self._is_over else time.perf_counter()) - self._began

    def _tick(self) -> None:
        """Note that the loop came round. It is called some twenty times a second, also when nothing else happens."""
        now, cpu, waited = time.perf_counter(), time.thread_time(), self._scheduler()
        stalled = now - self._at - TICK_SECONDS / 2  # it began between the last tick and the one that is late
        if stalled >= STALL_SECONDS:
            looks = [(late, seen) for at, late, seen in self._samples if at == self._at]
            self._samples.clear()
            unseen = looks[0][0] - _FIRST_LOOK_SECONDS if looks else stalled
            delay = _run_delay(waited) - _run_delay(self._waited) if waited else None
            try:
                self._on_stall(Stall(stalled, cpu - self._cpu, delay, [seen for _, seen in looks], unseen))
            except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
                self._warn(error)
        self._at, self._cpu, self._waited = now, cpu, waited

    def _scheduler(self) -> bytes:
        """Return what the kernel has counted of the main thread: running, waiting for a processor (ns), and turns."""
        return os.pread(self._schedstat, 100, 0) if self._schedstat >= 0 else b""

    def _look(self) -> None:
        """Look at the watched thread whenever its timer is late. In a thread of its own, outside gevent: no logging."""
        sleep = get_original("time", "sleep")
        while not self._is_over:
            at = self._at
            wait = at + TICK_SECONDS + _FIRST_LOOK_SECONDS - time.perf_counter()
            if wait > 0:
                sleep(wait)
                continue
            with contextlib.suppress(Exception):  # a look that fails is none
                seen = sample(sys._current_frames()[self._thread])  # noqa: SLF001  documented
                self._samples.append((at, time.perf_counter() - at - TICK_SECONDS, seen))
            sleep(max(_FIRST_LOOK_SECONDS, -wait * _LOOK_SHARE))


def _run_delay(schedstat: bytes) -> float:
    """Return the seconds for which a thread was ready and got no processor, from its `schedstat`."""
    return int(schedstat.split()[1]) / 1e9
