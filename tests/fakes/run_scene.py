"""A run in which nothing broke, to break one thing of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sidecar.model.history import RecordedSeries, SeriesPoint
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.run_record import Moment, RunRecord

START = datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC)
MIB = 1 << 20
LENGTH = 60


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def moment(second: int, **changes: Any) -> Moment:
    """50 users from the fifth second on, 100 requests a second, 2 workers."""
    users = min(50, 10 * second)
    usual = Moment(after(second), "running", users, 50, 100 * second, 0, 100.0, 0.0, 20.0, 80.0, {}, 2, (), 30.0, 10.0)
    return replace(usual, **changes)


def container(
    number: int, *, service: str = "locust-worker", since: int = 0, until: int = LENGTH, **changes: Any
) -> RecordedSeries:
    usual = SeriesPoint(START, 60 * MIB, 60 * MIB, 70 * MIB, 256 * MIB, 30.0, 35.0, 0.0)
    points = tuple(replace(usual, at=after(second), **changes) for second in range(since, until + 1, 2))
    return RecordedSeries(f"{service}{number}", f"locust-{service}-{number}", "locust", service, number, points)


def clean(**changes: Any) -> RunRecord:
    """A run of a minute with two workers, watched all along."""
    moments = tuple(moment(second) for second in range(LENGTH + 1))
    figures = {"requests": 6000, "failures": 0, "fail_ratio": 0.0, "requests_per_second": 100.0}
    usual = RunRecord(
        run_id="20261127T010203Z-ab12",
        started_at=START,
        ended_at=after(LENGTH),
        last_sign_at=after(LENGTH),
        begin={
            "host": "http://shop",
            "plan": {"users": 50, "spawn_rate_per_second": 10.0, "run_time_seconds": LENGTH, "shape_class": None},
            "workers_at_start": 2,
        },
        end={"requests": 6000, "failures": 0, "most_users": 50},
        statistics={"figures": figures, "endpoints": [], "errors": []},
        moments=moments,
        series=(container(1, service="locust-master"), container(1), container(2)),
        watched_until=after(LENGTH),
    )
    return replace(usual, **changes)


def altered(since: int, until: int, **changes: Any) -> tuple[Moment, ...]:
    """The moments of the clean run, those from one second to another changed."""
    return tuple(
        replace(one, **changes) if since <= second < until else one for second, one in enumerate(clean().moments)
    )


def incident(kind: IncidentKind, second: float = 30.0, **changes: Any) -> Incident:
    usual = Incident(
        f"{kind}-{second}", kind, Severity.ERROR, after(second), f"{kind} at {second:g} s", service="locust-worker"
    )
    return replace(usual, **changes)
