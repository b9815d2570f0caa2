"""Conditions that last: from Snapshots to incidents that open and close, with hysteresis. Pure but for its memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sidecar.common.records import shared
from sidecar.common.times import format_time
from sidecar.incidents.condition_rules import (
    ConditionReading,
    FailureWindow,
    container_conditions,
    restart_loops,
    running_id,
)
from sidecar.incidents.workers import Workers
from sidecar.model.incident import FINAL, Incident, IncidentKind, identity
from sidecar.model.incident_kinds import KINDS
from sidecar.model.snapshot import Snapshot

FAIL_THRESHOLD = 0.05
_CONDITIONS = frozenset(kind for kind, traits in KINDS.items() if traits.lasts) - {IncidentKind.BLIND}
_OF_ENGINE = _CONDITIONS - {IncidentKind.FAILURE_RATIO, IncidentKind.RESTART_LOOP}

Key = tuple[IncidentKind, str]


@dataclass(slots=True)
class _TrackedCondition:
    """The state of one condition of one container."""

    bad_since: datetime | None = None
    bad_rounds: int = 0
    good_since: datetime | None = None
    incident: Incident | None = None
    worst: ConditionReading | None = None


class Conditions:
    """Takes one Snapshot a round and returns the incidents that are new or have changed. For one thread.

    Args:
        fail_threshold: the share of failed requests, 0 to 1, that opens an incident.

    """

    def __init__(self, fail_threshold: float = FAIL_THRESHOLD) -> None:
        self._failures = FailureWindow(fail_threshold)
        self._workers = Workers()
        self._tracked: dict[Key, _TrackedCondition] = {}

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Continue, after a restart, with the ongoing conditions and the incidents of workers from the ledger."""
        for incident in incidents:
            self._workers.restore(incident)
            if incident.kind in _CONDITIONS and incident.until is None:
                self._tracked[_key(incident.kind, incident.container_id)] = _TrackedCondition(incident=incident)

    def apply(
        self, snapshot: Snapshot, recent: Sequence[Incident], ids: Mapping[str, str] | None = None
    ) -> list[Incident]:
        """Take one round; return the incidents to upsert.

        Args:
            snapshot: the Snapshot of the round.
            recent: the incidents of the last five minutes, at least.
            ids: full container ids by name, for a Snapshot whose containers have short ones.

        """
        full = ids or {}
        readings = list(restart_loops(snapshot.at, recent))
        if not snapshot.stale:
            readings += container_conditions(snapshot)
        failures = self._failures.reading(snapshot)
        if failures is not None:
            readings.append(failures)
        incidents: list[Incident] = []
        seen: set[Key] = set()
        for reading in readings:
            container_id = full.get(reading.subject.container or "", reading.subject.container_id)
            key = _key(reading.kind, container_id)
            seen.add(key)
            if reading.bad or key in self._tracked:  # hundreds a round are neither
                subject = replace(reading.subject, container_id=container_id)
                incidents += self._judge(key, replace(reading, subject=subject), snapshot)
        incidents += self._close_unseen(seen, snapshot)
        incidents += self._workers.apply(snapshot, recent, full)
        return incidents

    def _judge(self, key: Key, reading: ConditionReading, snapshot: Snapshot) -> list[Incident]:
        tracked = self._tracked.setdefault(key, _TrackedCondition())
        incidents = []
        if tracked.incident is not None and _another_start(tracked.incident, reading):
            incidents.append(_closed(tracked, snapshot.at))
            tracked = self._tracked[key] = _TrackedCondition()
        _count_rounds(tracked, reading, snapshot.at)
        changed = (
            _close_or_revise(tracked, reading, snapshot.at) if tracked.incident else _open(tracked, reading, snapshot)
        )
        if changed is not None:
            incidents.append(changed)
        if tracked.incident is None and tracked.bad_since is None:
            del self._tracked[key]
        return incidents

    def _close_unseen(self, seen: set[Key], snapshot: Snapshot) -> list[Incident]:
        """Close each condition that no rule reads any more: its container is down, or its restarts are long ago."""
        incidents = []
        for key in [tracked for tracked in self._tracked if tracked not in seen]:
            if (key[0] in _OF_ENGINE and snapshot.stale) or key[0] is IncidentKind.FAILURE_RATIO:
                continue  # an unknown value does not end a condition
            tracked = self._tracked.pop(key)
            if tracked.incident is not None:
                incidents.append(_closed(tracked, snapshot.at))
        return incidents


def _key(kind: IncidentKind, container_id: str | None) -> Key:
    return kind, container_id or ""


def _another_start(incident: Incident, reading: ConditionReading) -> bool:
    before, now = incident.container_started_at, reading.subject.started_at
    return before is not None and now is not None and before != now


def _count_rounds(tracked: _TrackedCondition, reading: ConditionReading, at: datetime) -> None:
    tracked.good_since = (tracked.good_since or at) if reading.good else None
    if not reading.bad:
        tracked.bad_since, tracked.bad_rounds = None, 0
        return
    tracked.bad_since = tracked.bad_since or reading.since or at
    tracked.bad_rounds += 1
    if tracked.worst is None or reading.weight > tracked.worst.weight:
        tracked.worst = reading


def _open(tracked: _TrackedCondition, reading: ConditionReading, snapshot: Snapshot) -> Incident | None:
    since = tracked.bad_since
    if (
        since is None
        or tracked.bad_rounds < reading.bad_rounds
        or (snapshot.at - since).total_seconds() < reading.bad_seconds
    ):
        return None
    about = reading.subject
    started = format_time(about.started_at) if about.started_at else ""
    tracked.incident = Incident(
        **shared(reading, Incident) | shared(about, Incident),
        id=identity(reading.kind, about.container_id or "", started, format_time(since)),
        severity=KINDS[reading.kind].severity,
        at=since,
        container_started_at=about.started_at,
        run_id=running_id(snapshot),
    )
    return tracked.incident


def _close_or_revise(tracked: _TrackedCondition, reading: ConditionReading, at: datetime) -> Incident | None:
    incident = tracked.incident
    if incident is None:
        return None
    if tracked.good_since is not None and (at - tracked.good_since).total_seconds() >= reading.good_seconds:
        return _closed(tracked, tracked.good_since)
    if reading.bad and reading.count > incident.count:
        revision = incident.revision + 1
        tracked.incident = replace(
            incident, revision=revision, count=reading.count, text=reading.text, cause=reading.cause
        )
        return tracked.incident
    return None


def _closed(tracked: _TrackedCondition, at: datetime) -> Incident:
    incident = tracked.incident
    if incident is None:
        raise ValueError("nothing to close")
    tracked.incident = None
    text = tracked.worst.text if tracked.worst else incident.text
    tracked.worst = None
    return replace(incident, state=FINAL, until=max(at, incident.at), text=text, revision=incident.revision + 1)
