"""One condition as one round shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sidecar.model.incident import IncidentKind, Severity
from sidecar.model.snapshot import Container, Snapshot

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Subject:
    """What a condition is about: a container within one start of it, or (all None) the run as a whole."""

    project: str | None = None
    service: str | None = None
    container: str | None = None
    container_id: str | None = None
    started_at: datetime | None = None
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ConditionReading:
    """A condition in one round: `bad` enough to open an incident, `good` enough to close it, or in between.

    `text` is what an incident of it says; `weight` rises with the trouble: an incident ends with the text of its worst
    moment. It opens once it has been bad for `bad_seconds` and `bad_rounds` in a row, and closes once it has been good
    for `good_seconds`. `since` is when it began, where that is known better than from the rounds.
    """

    kind: IncidentKind
    severity: Severity
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
    """Say whom a container's condition is about."""
    return Subject(
        project=container.project or snapshot.project,
        service=container.service,
        container=container.name,
        container_id=container.id,
        started_at=container.started_at,
        memory_limit_bytes=container.memory_limit_bytes,
    )


def of_project(name: str, project: str | None) -> str:
    """Shorten a container's name as people do: without its project."""
    return name.removeprefix(f"{project}-") if project else name


def running_id(snapshot: Snapshot) -> str | None:
    """Return the id of the run in progress, None between runs."""
    under_way = snapshot.locust is not None and snapshot.locust.state in {"spawning", "running"}
    return snapshot.run.run_id if snapshot.run and under_way else None
