"""The record of a run from any source: its files and the ledger, a live view, or `run` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from sidecar.common.times import parse_time
from sidecar.model.history import RecordedSeries
from sidecar.model.incident import Incident

Document = Mapping[str, Any]

STUCK_SECONDS = 10.0  # how long a request waits until it counts as unanswered, if the run has no own limit


def number(given: object, usual: float) -> float:
    """Return a value of a run's criteria as a number, a percentage as a share; `usual` for anything else."""
    text = str(given if given is not None else "").strip()
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return usual


class Unknown(StrEnum):
    """What a view of a run could not see. The value is the text in reports."""

    SECONDS = "what happened each second"
    CONTAINERS = "the figures of the containers"
    CLASSES = "the classes of the failures"
    WORKERS = "what became of the workers"
    USERS = "whether all requested users were running"
    PLAN = "the requested load"
    TIMES = "the distribution of the response times"
    END = "the end of the run"


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of a run, by the master's account (a line of timeline.ndjson).

    Counts are since the run's start, rates those of the last ten seconds; `cpu_percent` is that of the busiest worker,
    100 for one core. `workers_expected` is how many workers the connected containers should have, and
    `worker_hosts` how many containers are connected; older records have neither. `dispatched_users` are the users that
    Locust handed out. `missing` are ids of workers. `meters` is what the workers measured since the start, by meter.
    """

    at: datetime
    state: str = ""
    users: int = 0
    target_users: int = 0
    requests: int = 0
    failures: int = 0
    rps: float = 0.0
    fail_per_second: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    workers: int = 0
    missing: tuple[str, ...] = ()
    cpu_percent: float = 0.0
    master_cpu_percent: float = 0.0
    dispatched_users: int = 0
    meters: Mapping[str, Document] = field(default_factory=dict)
    workers_expected: int = 0
    worker_hosts: int = 0


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """The workers and the users of a run: how many, and which were lost.

    Attributes:
        at_start, at_end: how many workers there were.
        lost: when each worker that the master lost in the run was first missing, by id; None: unknown.
        left: how many workers left on purpose.
        users_at_end: users that were running at the end.
        most_users: the largest number of users.
        wanted_users: the largest requested number of users.
        missing_before: ids of workers that the master had lost before the run began.

    """

    at_start: int = 0
    at_end: int = 0
    lost: Mapping[str, datetime | None] = field(default_factory=dict)
    left: int = 0
    users_at_end: int = 0
    most_users: int = 0
    wanted_users: int = 0
    missing_before: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a run.

    Attributes:
        run_id: made by the plugin.
        started_at: its start.
        ended_at: its end; None when there is no end marker.
        last_sign_at: the newest time in its files.
        is_running: whether it may still be running: no end marker, and a recent sign.
        begin, end: the plugin's run.json and end.json; `end` is empty without an end marker.
        statistics, groups, performance: the documents of these names; empty if they are missing.
        meters: what the workers measured of their own load, by meter; empty with an older plugin, or without one.
        moments: its seconds, oldest first.
        incidents: what the monitor recorded from its start to a little after its end, oldest first.
        series: the containers' figures during the run.
        unwatched: why it is unknown what happened to the containers, in one sentence; "" if the monitor watched.
        watched_until: the moment of the newest figures of a container, from a little before its start up to its end;
            None without any.
        recorded_until: up to when the monitor recorded everything; None if no ledger shows it.
        recording_error: why the monitor cannot write now; "" if it can, or if unknown.
        unwritten: what is missing in the run's own record on disk, in one sentence; "" if nothing is.
        look_seconds: the interval of the monitor's rounds.
        settled: whether no incident can change any more.
        counted: workers and users as the follower of the run counted them; None: use `moments`.
        master_lost: what happened to the master, in one sentence; "" if unknown.
        stopped_by: who stopped the run early, if known.
        unknown: what the source of this record could not see.

    """

    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
    last_sign_at: datetime | None = None
    is_running: bool = False
    begin: Document = field(default_factory=dict)
    end: Document = field(default_factory=dict)
    statistics: Document = field(default_factory=dict)
    groups: Document = field(default_factory=dict)
    performance: Document = field(default_factory=dict)
    meters: Mapping[str, Document] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    incidents: tuple[Incident, ...] = ()
    series: tuple[RecordedSeries, ...] = ()
    unwatched: str = ""
    watched_until: datetime | None = None
    recorded_until: datetime | None = None
    recording_error: str = ""
    unwritten: str = ""
    look_seconds: float = 2.0
    settled: bool = True
    counted: WorkerCounts | None = None
    master_lost: str = ""
    stopped_by: str = ""
    unknown: frozenset[Unknown] = frozenset()

    @property
    def until(self) -> datetime:
        """The run's end, or its last sign."""
        return self.ended_at or self.last_sign_at or self.started_at

    @property
    def load_until(self) -> datetime:
        """The end of the load: when the run began to stop. The run's end if that was not recorded."""
        ended = self.end.get("load_ended_at")
        return parse_time(str(ended)) if ended else self.until

    @property
    def load_moments(self) -> tuple[Moment, ...]:
        """The seconds of the load, without the time in which users say goodbye."""
        until = self.load_until
        return tuple(moment for moment in self.moments if moment.at <= until)

    @property
    def seconds(self) -> float:
        """The length of the run's load, as far as it is known."""
        return max(0.0, (self.load_until - self.started_at).total_seconds())

    @property
    def plan(self) -> Document:
        """The requested load."""
        return self.begin.get("plan") or {}

    @property
    def figures(self) -> Document:
        """The figures over all requests."""
        return self.statistics.get("figures") or {}

    @property
    def workers(self) -> WorkerCounts:
        """The workers and the users."""
        return self.counted or _counted(self)


def _counted(record: RunRecord) -> WorkerCounts:
    """Count workers and users from the run's seconds."""
    moments, of_load = record.moments, record.load_moments
    before = frozenset(moments[0].missing if moments else ())
    lost: dict[str, datetime | None] = {}
    for moment in moments:
        for name in moment.missing:
            if name not in before:
                lost.setdefault(name, moment.at)
    fewer = sum(max(0, earlier.workers - later.workers) for earlier, later in pairwise(of_load))
    last = next((moment for moment in reversed(moments) if moment.state in {"spawning", "running"}), None)
    return WorkerCounts(
        at_start=int(record.begin.get("workers_at_start") or 0),
        at_end=of_load[-1].workers if of_load else 0,
        lost=lost,
        left=max(0, fewer - len(lost)),
        users_at_end=last.users if last else 0,
        most_users=max([int(record.end.get("most_users") or 0), *(moment.users for moment in moments)]),
        wanted_users=max((moment.target_users for moment in moments), default=0),
        missing_before=before,
    )


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list; nothing for any other value."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def whole(value: object) -> int:
    """Return a number as an integer; 0 for any other value."""
    return int(value) if isinstance(value, int | float) else 0
