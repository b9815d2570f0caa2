"""The rules of conditions that last: each reads one round. Pure but for the memory of the failure window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sidecar.common.units import of_limit
from sidecar.incidents.warnings import MEMORY_PERCENT, THROTTLED_PERCENT
from sidecar.model.incident import ExitReason, Incident, IncidentKind
from sidecar.model.incident_kinds import without_project
from sidecar.model.snapshot import Container, Locust, Snapshot

NO_LONGER_THROTTLED_PERCENT = 2.5
THROTTLED_SECONDS = 10.0
NO_LONGER_HIGH_PERCENT = 85.0
FORECAST_SECONDS, FORECAST_OVER_SECONDS = 600.0, 1200.0
FORECAST_ROUNDS = 2
FORECAST_GONE_SECONDS = 10.0  # a forecast may be missing for a round or two and still be the same forecast
FAILURE_WINDOW = timedelta(seconds=10)
_KEPT = 64  # ten seconds at two readings a second, thrice
LOOP_RESTARTS = 3
LOOP_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a condition is about: one start of a container, or (with None in all fields) the run as a whole."""

    project: str | None = None
    service: str | None = None
    container: str | None = None
    container_id: str | None = None
    started_at: datetime | None = None
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ConditionReading:
    """A condition in one round: `bad` enough to open an incident, `good` enough to close it, or neither.

    `text` is the text of its incident. `weight` is higher the worse it is: an incident ends with the text of its worst
    moment. The incident opens once the condition has been bad for `bad_seconds` and `bad_rounds` in a row. It closes
    once the condition has been good for `good_seconds`. `since` is when the condition began, if that is known more
    exactly than by rounds.
    """

    kind: IncidentKind
    subject: Subject
    bad: bool
    good: bool
    text: str = ""
    weight: float = 0.0
    bad_seconds: float = 0.0
    bad_rounds: int = 1
    good_seconds: float = 0.0
    count: int = 1
    since: datetime | None = None
    cause: str | None = None


def subject_of(container: Container, snapshot: Snapshot) -> Subject:
    """Return the subject of a container's condition."""
    return Subject(
        project=container.project or snapshot.project,
        service=container.service,
        container=container.name,
        container_id=container.id,
        started_at=container.started_at,
        memory_limit_bytes=container.memory_limit_bytes,
    )


def running_id(snapshot: Snapshot) -> str | None:
    """Return the id of the run in progress, None between runs."""
    under_way = snapshot.locust is not None and snapshot.locust.state in {"spawning", "running"}
    return snapshot.run.run_id if snapshot.run and under_way else None


Rule = Callable[[Container, Subject], ConditionReading]


def container_conditions(snapshot: Snapshot) -> Iterator[ConditionReading]:
    """Apply every rule to every running container. The monitor of another node judges the containers of its node."""
    for container in snapshot.containers:
        if container.state == "running" and container.node == snapshot.node:
            subject = subject_of(container, snapshot)
            for rule in _RULES:
                yield rule(container, subject)


def _throttled(container: Container, subject: Subject) -> ConditionReading:
    percent = container.throttled_percent or 0.0
    return ConditionReading(
        IncidentKind.THROTTLED,
        subject,
        bad=percent >= THROTTLED_PERCENT,
        good=percent < NO_LONGER_THROTTLED_PERCENT,
        text=f"{_name(subject)} was throttled by its CPU limit {percent:.0f}% of the time",
        weight=percent,
        bad_seconds=THROTTLED_SECONDS,
        good_seconds=THROTTLED_SECONDS,
    )


def _memory_high(container: Container, subject: Subject) -> ConditionReading:
    percent = (container.memory_percent or 0.0) if container.memory_limit_bytes else 0.0
    return ConditionReading(
        IncidentKind.MEMORY_HIGH,
        subject,
        bad=percent >= MEMORY_PERCENT,
        good=percent < NO_LONGER_HIGH_PERCENT,
        text=f"{_name(subject)} used {percent:.0f}% of its memory limit ({_used(container)})",
        weight=percent,
    )


def _forecast(container: Container, subject: Subject) -> ConditionReading:
    eta = container.oom_eta_seconds
    return ConditionReading(
        IncidentKind.FORECAST,
        subject,
        bad=eta is not None and eta < FORECAST_SECONDS,
        good=eta is None or eta > FORECAST_OVER_SECONDS,
        text=f"{_name(subject)} will run out of memory in {_soon(eta or 0.0)} ({_used(container)})",
        weight=0.0,  # the first forecast shows the most; the forecast of the last second shows little
        bad_rounds=FORECAST_ROUNDS,
        good_seconds=FORECAST_GONE_SECONDS,
    )


def _unhealthy(container: Container, subject: Subject) -> ConditionReading:
    return ConditionReading(
        IncidentKind.UNHEALTHY,
        subject,
        bad=container.health == "unhealthy",
        good=container.health in {"healthy", None},
        text=f"{_name(subject)} fails its health check",
    )


_RULES: tuple[Rule, ...] = (_throttled, _memory_high, _forecast, _unhealthy)


def _name(subject: Subject) -> str:
    return without_project(subject.container, subject.project)


def _used(container: Container) -> str:
    used, limit = container.memory_working_set_bytes or 0, container.memory_limit_bytes or 0
    return of_limit(used, limit)


def _soon(seconds: float) -> str:
    two_minutes = 120
    return f"about {seconds:.0f} s" if seconds < two_minutes else f"about {seconds / 60:.0f} min"


class FailureWindow:
    """Takes the master's totals each round. `threshold` is a share from 0 to 1; half of it ends the condition."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._totals: deque[tuple[datetime, int, int]] = deque(maxlen=_KEPT)

    def reading(self, snapshot: Snapshot) -> ConditionReading | None:
        """Judge the last ten seconds; None while the master gives no figures."""
        if snapshot.locust is None:
            return None
        totals = self._in_window(snapshot.at, snapshot.locust)
        requests, failures = totals or (0, 0)
        ratio = failures / requests if requests else 0.0
        return ConditionReading(
            IncidentKind.FAILURE_RATIO,
            Subject(project=snapshot.project),
            bad=requests > 0 and ratio >= self._threshold and failures > 0,
            good=totals is not None and (not requests or ratio < self._threshold / 2),
            text=f"{ratio:.1%} of the requests failed ({failures} of {requests} in {FAILURE_WINDOW.seconds} s)",
            weight=ratio,
        )

    def _in_window(self, at: datetime, locust: Locust) -> tuple[int, int] | None:
        """Return requests and failures of the window; None while less than a window is known."""
        if locust.total is None:
            return _from_rates(locust)
        now = (at, locust.total.requests, locust.total.failures)
        if self._totals and now[1] < self._totals[-1][1]:
            self._totals.clear()  # another run, or somebody reset the statistics
        self._totals.append(now)
        while len(self._totals) > 1 and self._totals[1][0] <= at - FAILURE_WINDOW:
            self._totals.popleft()
        before = self._totals[0]
        if before[0] > at - FAILURE_WINDOW:
            return None
        return now[1] - before[1], now[2] - before[2]


def _from_rates(locust: Locust) -> tuple[int, int]:
    """Return requests and failures by the master's own rates, which cover ten seconds too."""
    seconds = FAILURE_WINDOW.total_seconds()
    return round(locust.rps * seconds), round(locust.fail_per_second * seconds)


def restart_loops(at: datetime, incidents: Iterable[Incident]) -> Iterator[ConditionReading]:
    """Judge each container that restarted within the last five minutes. Restarts by a person do not count."""
    groups: dict[str, list[Incident]] = {}
    for incident in incidents:
        counts = (
            incident.kind in {IncidentKind.RESTART, IncidentKind.MASTER_RESTART}
            and incident.reason is not ExitReason.STOPPED
        )
        if counts and not incident.helper and incident.container_id and at - incident.at <= LOOP_WINDOW:
            groups.setdefault(incident.container_id, []).append(incident)
    for group in groups.values():
        yield _restart_loop(sorted(group, key=lambda restart: restart.at))


def _restart_loop(restarts: list[Incident]) -> ConditionReading:
    latest, times = restarts[-1], sum(restart.count for restart in restarts)
    name = without_project(latest.container, latest.project)
    why = f", the last time: {latest.reason}" if latest.reason else ""
    return ConditionReading(
        IncidentKind.RESTART_LOOP,
        Subject(latest.project, latest.service, latest.container, latest.container_id),
        bad=times >= LOOP_RESTARTS,
        good=times < LOOP_RESTARTS,
        text=f"{name} keeps restarting: {times} times within 5 minutes{why}",
        weight=times,
        count=times,
        since=restarts[0].at,
        cause=latest.cause,
    )
