"""The documents of the API other than Snapshot and Incident."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sidecar.common.records import shared
from sidecar.common.times import from_nanos
from sidecar.model.history import RecordedSeries, RunPoint, StoredLine
from sidecar.model.incident import Incident
from sidecar.model.snapshot import SCHEMA_VERSION, Blind, LogLine

Column = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """Up to when all incidents are on disk; since when and why they cannot be written (None and "" if they can)."""

    recorded_until: datetime | None = None
    not_recorded_since: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class IncidentList:
    """The answer of /api/incidents: newest first."""

    project: str | None
    at: datetime
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    recording: Recording | None = None  # None from an older monitor
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class LogLines:
    """The answer of /api/logs: newest first. `more`: the limit left some out."""

    at: datetime
    lines: tuple[LogLine, ...]
    more: bool
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class ContainerColumns:
    """One container's figures, one value for each moment of the document; None if unknown.

    The limit is the newest one known.
    """

    container: str
    container_id: str
    service: str | None
    index: int | None
    project: str | None
    memory_limit_bytes: int | None
    memory_working_set_bytes: Column
    memory_usage_bytes: Column
    cpu_percent: Column
    throttled_percent: Column


@dataclass(frozen=True, slots=True)
class RunColumns:
    """The run's figures, one value for each moment of the document; None if unknown."""

    users: Column
    rps: Column
    fail_per_second: Column
    p50_ms: Column
    p95_ms: Column
    workers_connected: Column


@dataclass(frozen=True, slots=True)
class HistoryDocument:
    """The answer of /api/history: columns over one common time axis, with the incidents and blind spans on it.

    `at` holds the starts of the steps; a step without any figures is left out.
    """

    project: str | None
    since: datetime
    until: datetime
    step_seconds: float
    at: tuple[datetime, ...]
    containers: tuple[ContainerColumns, ...]
    run: RunColumns
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    schema_version: int = SCHEMA_VERSION


def without_evidence(incident: Incident) -> Incident:
    """Leave out the evidence (up to fifty log lines and samples): a list of incidents does not show it."""
    return replace(incident, evidence=())


def log_line(line: StoredLine) -> LogLine:
    """Write a stored line as the Snapshot does."""
    return LogLine(from_nanos(line.ns), line.service or "", line.name or line.container_id[:12], line.text)


class Axis:
    """The common time axis of some series: steps of one length; a step without any figure is left out."""

    def __init__(self, since: datetime, until: datetime, points: int, moments: Collection[datetime]) -> None:
        self._since = since
        self.step_seconds = (until - since).total_seconds() / points
        steps = sorted({self._step(moment) for moment in moments if since <= moment <= until})
        self._place = {step: place for place, step in enumerate(steps)}
        self.at = tuple(since + timedelta(seconds=step * self.step_seconds) for step in steps)

    def column(self, values: Sequence[tuple[datetime, float | None]]) -> Column:
        """Lay one series on the axis. Of several values in one step the highest stays, so no peak is lost."""
        column: list[float | None] = [None] * len(self.at)
        for moment, value in values:
            place = self._place.get(self._step(moment))
            if place is None or value is None:
                continue
            before = column[place]
            column[place] = value if before is None else max(before, value)
        return tuple(column)

    def _step(self, moment: datetime) -> int:
        return int((moment - self._since).total_seconds() // self.step_seconds)


def container_columns(series: RecordedSeries, axis: Axis) -> ContainerColumns:
    """Lay one container's figures on the axis: the highest sizes and throttling, the mean CPU."""
    points = series.points
    limits = [point.limit_bytes for point in points if point.limit_bytes is not None]
    return ContainerColumns(
        **shared(series, ContainerColumns),
        container=series.name,
        memory_limit_bytes=limits[-1] if limits else None,
        memory_working_set_bytes=axis.column([(point.at, point.working_set_max_bytes) for point in points]),
        memory_usage_bytes=axis.column([(point.at, point.usage_max_bytes) for point in points]),
        cpu_percent=axis.column([(point.at, point.cpu_percent) for point in points]),
        throttled_percent=axis.column([(point.at, point.throttled_percent) for point in points]),
    )


def run_columns(points: Sequence[RunPoint], axis: Axis) -> RunColumns:
    """Lay the run's figures on the axis."""
    figures = ("users", "rps", "fail_per_second", "p50_ms", "p95_ms", "workers")  # in the order of RunColumns
    return RunColumns(*(axis.column([(point.at, getattr(point, name)) for point in points]) for name in figures))
