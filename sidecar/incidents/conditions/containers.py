"""What containers can suffer from for a while: each rule reads one running container. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecar.incidents.conditions.sign import MEBIBYTE, ConditionReading, Subject, of_project, subject_of
from sidecar.model.incident import IncidentKind, Severity
from sidecar.model.snapshot import Container, Snapshot

THROTTLED_PERCENT, NO_LONGER_THROTTLED_PERCENT = 5.0, 2.5
THROTTLED_SECONDS = 10.0
MEMORY_HIGH_PERCENT, NO_LONGER_HIGH_PERCENT = 90.0, 85.0
FORECAST_SECONDS, FORECAST_OVER_SECONDS = 600.0, 1200.0
FORECAST_ROUNDS = 2
FORECAST_GONE_SECONDS = 10.0  # a forecast that pauses for a round or two is the same one

Rule = Callable[[Container, Subject], ConditionReading]


def signs(snapshot: Snapshot) -> Iterator[ConditionReading]:
    """Apply every rule to every running container; those of another node are its own sidecar's to judge."""
    for container in snapshot.containers:
        if container.state == "running" and container.node == snapshot.node:
            subject = subject_of(container, snapshot)
            for rule in _RULES:
                yield rule(container, subject)


def _throttled(container: Container, subject: Subject) -> ConditionReading:
    percent = container.throttled_percent or 0.0
    return ConditionReading(
        IncidentKind.THROTTLED,
        Severity.WARN,
        subject,
        bad=percent >= THROTTLED_PERCENT,
        good=percent < NO_LONGER_THROTTLED_PERCENT,
        text=f"{_name(subject)} was held back by its processor limit {percent:.0f}% of the time",
        weight=percent,
        bad_seconds=THROTTLED_SECONDS,
        good_seconds=THROTTLED_SECONDS,
    )


def _memory_high(container: Container, subject: Subject) -> ConditionReading:
    percent = (container.memory_percent or 0.0) if container.memory_limit_bytes else 0.0
    return ConditionReading(
        IncidentKind.MEMORY_HIGH,
        Severity.WARN,
        subject,
        bad=percent >= MEMORY_HIGH_PERCENT,
        good=percent < NO_LONGER_HIGH_PERCENT,
        text=f"{_name(subject)} used {percent:.0f}% of its memory limit ({_used(container)})",
        weight=percent,
    )


def _forecast(container: Container, subject: Subject) -> ConditionReading:
    eta = container.oom_eta_seconds
    return ConditionReading(
        IncidentKind.FORECAST,
        Severity.WARN,
        subject,
        bad=eta is not None and eta < FORECAST_SECONDS,
        good=eta is None or eta > FORECAST_OVER_SECONDS,
        text=f"{_name(subject)} will run out of memory in {_soon(eta or 0.0)} ({_used(container)})",
        weight=0.0,  # afterwards the first forecast says most, not the one of its last second
        bad_rounds=FORECAST_ROUNDS,
        good_seconds=FORECAST_GONE_SECONDS,
    )


def _unhealthy(container: Container, subject: Subject) -> ConditionReading:
    return ConditionReading(
        IncidentKind.UNHEALTHY,
        Severity.ERROR,
        subject,
        bad=container.health == "unhealthy",
        good=container.health in {"healthy", None},
        text=f"{_name(subject)} fails its health check",
    )


_RULES: tuple[Rule, ...] = (_throttled, _memory_high, _forecast, _unhealthy)


def _name(subject: Subject) -> str:
    return of_project(subject.container or "a container", subject.project)


def _used(container: Container) -> str:
    used, limit = container.memory_working_set_bytes or 0, container.memory_limit_bytes or 0
    return f"{used / MEBIBYTE:.0f} of {limit / MEBIBYTE:.0f} MiB"


def _soon(seconds: float) -> str:
    two_minutes = 120
    return f"about {seconds:.0f} s" if seconds < two_minutes else f"about {seconds / 60:.0f} min"
