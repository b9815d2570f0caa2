"""A run as it lies on the disk: what the plugin wrote of it, and what the sidecar saw meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sidecar.model.history import RecordedSeries
from sidecar.model.incident import Incident

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of a run, by the master's account (a line of timeline.ndjson).

    Counts are since the run's start, rates those of the last ten seconds; `cpu_percent` is that of the busiest worker,
    100 for one core. `missing` are ids of workers.
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


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a run.

    Attributes:
        run_id: born in the plugin.
        started_at: its start.
        ended_at: its end; None when there is no end marker.
        last_sign_at: the newest that was written of it.
        is_going: whether it may still be going: no end marker, and a sign of it only just now.
        begin, end: run.json and end.json of the plugin, the second empty without an end marker.
        statistics, groups, performance: the documents of these names, empty when there are none.
        moments: its seconds, oldest first.
        incidents: what the sidecar recorded from its start to a little after its end, oldest first.
        series: the containers' figures meanwhile.
        unwatched: why nobody can tell what happened to the containers, "" when somebody watched.
        watched_until: the moment of the newest figures of a container, from a little before its start up to its end;
            None for none.
        look_seconds: how often the sidecar looks at the containers.
        settled: whether no incident may still change.

    """

    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
    last_sign_at: datetime | None = None
    is_going: bool = False
    begin: Document = field(default_factory=dict)
    end: Document = field(default_factory=dict)
    statistics: Document = field(default_factory=dict)
    groups: Document = field(default_factory=dict)
    performance: Document = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    incidents: tuple[Incident, ...] = ()
    series: tuple[RecordedSeries, ...] = ()
    unwatched: str = ""
    watched_until: datetime | None = None
    look_seconds: float = 2.0
    settled: bool = True

    @property
    def until(self) -> datetime:
        """Its end, or the last that is known of it."""
        return self.ended_at or self.last_sign_at or self.started_at

    @property
    def seconds(self) -> float:
        """How long it took, as far as it is known."""
        return max(0.0, (self.until - self.started_at).total_seconds())

    @property
    def plan(self) -> Document:
        """What was asked for."""
        return self.begin.get("plan") or {}

    @property
    def judge(self) -> Document:
        """By what it is to be judged."""
        return self.begin.get("judge") or {}
