"""The rate that constant_pacing and constant_throughput plan, and how much of it was reached.

If a task takes longer than its pacing, it delays the next run. Locust then starts the next run at once and does not
report the missed starts. The time between two waits, divided by the pacing, is the number of planned runs; one began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from locust.env import Environment
from locust.user.task import DefaultTaskSet, TaskSet

from locust_kit.meters.reading import LONGEST_LABEL, labelled, mapping, number
from locust_kit.patches import Patches, make_each
from locust_kit.texts import safe

_MOST_SCHEDULES = 20
_FIGURES = ("pacing_seconds", "planned", "begun", "measured", "run_seconds")
_CLOCK = "_locust_kit_clock"
_PACING = ("locust.user.wait_time", "constant_pacing.<locals>.wait_time_func")

Document = dict[str, Any]


@dataclass(slots=True)
class Schedule:
    """The runs of all users of one class under one pacing, in seconds; `measured` are the runs in `run_seconds`."""

    pacing_seconds: float
    planned: float = 0.0
    begun: int = 0
    measured: int = 0
    run_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Clock:
    """The schedule of one user: `since` is its last wait, or its first run if `waited` is False.

    `resumed` is when its last wait was over.
    """

    schedule: Schedule
    since: float
    waited: bool = False
    resumed: float = 0.0

    def tick(self, now: float) -> None:
        """Count the time up to a wait."""
        schedule, passed = self.schedule, now - self.since
        if self.waited or passed > schedule.pacing_seconds:
            schedule.planned += passed / schedule.pacing_seconds
            schedule.begun += 1
        if self.waited:
            schedule.measured += 1
            schedule.run_seconds += now - self.resumed
        self.since, self.waited = now, True

    def missed(self, now: float) -> float:
        """Return how many starts were due since the last wait, without the current run."""
        return max(0.0, (now - self.since) / self.schedule.pacing_seconds - 1)

    def begin_anew(self, now: float) -> None:
        """Ignore the time up to now."""
        self.since, self.waited = now, False


@dataclass
class PacingMeter:
    """Counts planned and begun runs in this process. Only one per process, because it patches Locust's TaskSet."""

    name = "pacing"
    never_falls = ("begun", "measured", "run_seconds")
    problem: str = ""
    clock: Callable[[], float] = time.perf_counter
    _schedules: dict[str, Schedule] = field(default_factory=dict)
    _clocks: set[_Clock] = field(default_factory=set)
    _stopped_at: float | None = None

    def listen(self, environment: Environment) -> None:
        """Follow each wait of each user."""
        environment.events.test_stopping.add_listener(self._stopping)
        self.problem = "; ".join(make_each({"TaskSet": self._follow})[1])

    def begin(self) -> None:
        """Forget what was counted."""
        self._schedules, self._clocks, self._stopped_at = {}, set(), None

    def document(self) -> Document:
        """Return planned and begun runs by class; overdue runs count as planned."""
        now = self._now()
        overdue: dict[int, float] = {}
        for clock in self._clocks:
            overdue[id(clock.schedule)] = overdue.get(id(clock.schedule), 0.0) + clock.missed(now)
        return {
            "schedules": {
                name: {
                    "pacing_seconds": round(schedule.pacing_seconds, 6),
                    "planned": round(schedule.planned + overdue.get(id(schedule), 0.0), 2),
                    "begun": schedule.begun,
                    "measured": schedule.measured,
                    "run_seconds": round(schedule.run_seconds, 3),
                }
                for name, schedule in list(self._schedules.items())[:_MOST_SCHEDULES]
            },
            "problem": self.problem,
        }

    @staticmethod
    def merged(by_worker: Mapping[str, Document]) -> Document:
        """Return the sums over all workers, by class."""
        schedules: dict[str, dict[str, float]] = {}
        for document in by_worker.values():
            for name, part in labelled(document.get("schedules"), _MOST_SCHEDULES).items():
                so_far = schedules.setdefault(name, dict.fromkeys(_FIGURES, 0))
                for key in _FIGURES:
                    value, is_one = number(mapping(part).get(key)), key == "pacing_seconds"
                    so_far[key] = max(so_far[key], value) if is_one else so_far[key] + value
        problems = {str(document["problem"]) for document in by_worker.values() if document.get("problem")}
        return {
            "schedules": {
                name: {key: round(value, 3) for key, value in schedule.items()} for name, schedule in schedules.items()
            },
            "problems": sorted(problems),
        }

    @staticmethod
    def moment(merged: Document) -> Document:
        """Return planned and begun runs by class."""
        return {
            name: [schedule.get("planned", 0), schedule.get("begun", 0)]
            for name, schedule in list(merged["schedules"].items())[:_MOST_SCHEDULES]
        }

    def _now(self) -> float:
        return self.clock() if self._stopped_at is None else self._stopped_at

    def _stopping(self, **_: Any) -> None:
        self._stopped_at = self.clock()

    def _follow(self) -> None:
        with Patches() as patches:
            patches.wrap(TaskSet, "run", self._run)

    def _run(self, run: Callable[..., Any], task_set: Any) -> Any:
        """Keep a clock while a task set runs that waits by its own schedule, or by its user's."""
        kind, user = type(task_set), task_set.user
        if not (issubclass(kind, DefaultTaskSet) or _has_own_wait(kind)):
            self._follow_waits(task_set, user.__dict__.get(_CLOCK))
            return run(task_set)
        outer, clock = user.__dict__.get(_CLOCK), self._clock_of(user, kind)
        if outer is not None:
            self._clocks.discard(outer)
        user.__dict__[_CLOCK] = clock
        self._follow_waits(task_set, clock)
        try:
            return run(task_set)
        finally:
            if clock is not None and clock in self._clocks:
                self._clocks.discard(clock)
                clock.schedule.planned += clock.missed(self._now())
            user.__dict__[_CLOCK] = outer
            if outer is not None:
                outer.begin_anew(self.clock())
                self._clocks.add(outer)

    def _follow_waits(self, task_set: Any, clock: _Clock | None) -> None:
        """Let each wait of a task set tick its clock; without a clock the wait is unchanged and costs nothing."""
        if clock is None:
            return
        wait = task_set.wait

        def wait_and_tick() -> None:
            if self._stopped_at is None:
                clock.tick(self.clock())
            wait()
            clock.resumed = self.clock()

        task_set.wait = wait_and_tick

    def _clock_of(self, user: Any, kind: type) -> _Clock | None:
        """Return a new clock for a user that begins tasks of this task set; None without a pacing."""
        is_own = _has_own_wait(kind)
        pacing = None if "wait_time" in user.__dict__ else pacing_of(kind if is_own else type(user))
        if pacing is None:
            return None
        name = type(user).__name__ + (f".{kind.__name__}" if is_own else "")
        name = safe(name, LONGEST_LABEL)
        schedule = self._schedules.setdefault(name, Schedule(pacing))
        if schedule.pacing_seconds != pacing:
            return None
        clock = _Clock(schedule, self.clock())
        self._clocks.add(clock)
        return clock


def _has_own_wait(task_set: type) -> bool:
    return getattr(task_set, "wait_time", None) is not TaskSet.wait_time


def pacing_of(owner: type) -> float | None:
    """Return the planned seconds between two starts of a class of users or tasks; None if it plans no rate."""
    wait = getattr(owner, "wait_time", None)
    if (getattr(wait, "__module__", ""), getattr(wait, "__qualname__", "")) != _PACING:
        return None
    try:
        cells = zip(wait.__code__.co_freevars, wait.__closure__, strict=True)  # type: ignore[union-attr]
        seconds = float(dict(cells)["wait_time"].cell_contents)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return seconds if seconds > 0 else None
