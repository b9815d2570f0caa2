"""What the ledger stores and returns: figures of containers and runs, log lines, and the queries for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sidecar.common.records import shared
from sidecar.model.incident import IncidentKind
from sidecar.model.snapshot import Container, Snapshot

DEFAULT_LIMIT = 200
STDOUT, STDERR = 1, 2
"""The engine's numbers of a container's two streams; a container with a tty has the first only."""


@dataclass(frozen=True, slots=True)
class IncidentQuery:
    """A query for the incidents that touch a span (begun by `until`, not over before `since`).

    Attributes:
        since: start of the span; None: from the beginning.
        until: end of the span; None: up to now.
        kinds: only of these kinds; empty: all.
        project: only of this Compose project; None: all, and those of no project.
        limit: at most so many.
        helpers: also incidents of the kit's own probes (the self-test's containers).
        newest_first: the order, and which end of the list the limit keeps.

    """

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[IncidentKind, ...] = ()
    project: str | None = None
    limit: int = DEFAULT_LIMIT
    helpers: bool = False
    newest_first: bool = True


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A query for log lines, newest first, at most `limit`.

    Attributes:
        text: text to find, not a pattern; ASCII letters in either case; "" finds all lines.
        container: a container's name, a service, or a container's id or the start of it; None: all.
        since: from this moment on.
        until: up to this moment.
        limit: at most so many.

    """

    text: str = ""
    container: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class Sample:
    """One container's figures in one round; None where they are not known."""

    container_id: str
    name: str
    project: str | None
    service: str | None
    index: int | None
    working_set_bytes: int
    usage_bytes: int
    limit_bytes: int | None = None
    cpu_percent: float | None = None
    throttled_percent: float | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    pids: int | None = None
    restarts: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class RunPoint:
    """The master's figures, in one round or over one step of time.

    Over a step: the state at its end, users, p50 and p95 at their highest, workers at their lowest, rates on average.
    """

    at: datetime
    state: str
    users: int
    rps: float
    fail_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    workers: int


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One container's figures over one step of time, which begins at `at`.

    `throttled_percent` is the highest share, `limit_bytes` the largest limit in force; None where nothing is known.
    """

    at: datetime
    working_set_bytes: int
    working_set_max_bytes: int
    usage_max_bytes: int
    limit_bytes: int | None
    cpu_percent: float | None
    cpu_max_percent: float | None
    throttled_percent: float | None


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """One container's figures over time, oldest first. Steps without a figure are left out."""

    container_id: str
    name: str
    project: str | None
    service: str | None
    index: int | None
    points: tuple[SeriesPoint, ...]


@dataclass(frozen=True, slots=True)
class HealthMinute:
    """One minute of checks of one URL: how many, how many succeeded, response times in ms, the last error."""

    at: datetime
    name: str
    url: str
    checks: int = 0
    passed: int = 0
    total_ms: float = 0.0
    most_ms: float = 0.0
    error: str = ""


def samples_of(snapshot: Snapshot) -> tuple[Sample, ...]:
    """Return the samples of a Snapshot for the history: one for each container with figures in this round."""
    if snapshot.stale:
        return ()
    made = (_sample(container, snapshot.project) for container in snapshot.containers)
    return tuple(sample for sample in made if sample is not None)


def run_point_of(snapshot: Snapshot) -> RunPoint | None:
    """Return the run's figures in a Snapshot; None where the master gave none."""
    locust = snapshot.locust
    if locust is None:
        return None
    return RunPoint(**shared(locust, RunPoint) | {"workers": locust.workers_connected}, at=snapshot.at)


def _sample(container: Container, project: str) -> Sample | None:
    working_set, usage = container.memory_working_set_bytes, container.memory_usage_bytes
    if working_set is None or usage is None:
        return None
    return Sample(
        **shared(container, Sample) | {"project": container.project or project},
        container_id=container.id,
        working_set_bytes=working_set,
        usage_bytes=usage,
        limit_bytes=container.memory_limit_bytes,
    )


@dataclass(frozen=True, slots=True)
class StoredLine:
    """One line of a container's log, cleaned for display. `ns` is the engine's own time stamp, since 1970.

    `stream` is STDOUT or STDERR, or 0 for a line in which the monitor reports lines that it left out.
    """

    ns: int
    container_id: str
    text: str
    name: str = ""
    project: str | None = None
    service: str | None = None
    stream: int = STDOUT


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far one stream has been read: the time stamp of its last line, and how many lines have that stamp."""

    ns: int
    lines: int = 1


@dataclass(frozen=True, slots=True)
class LogCursor:
    """How far a container's log has been read, by stream (written as text: it is the key of a JSON object).

    One mark for both streams would lose lines. The engine stamps a line when it reads it, and writes it a moment later.
    So a line of one stream can stand behind a younger line of the other stream.
    """

    marks: dict[str, LogPosition] = field(default_factory=dict)
