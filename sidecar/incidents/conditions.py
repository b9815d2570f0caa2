"""Conditions that last: from Snapshots to incidents that open and close, with hysteresis. Pure but for its memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

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
    """What is remembered of one condition of one container."""

    bad_since: datetime | None = None
    bad_rounds: int = 0
    good_since: datetime | None = None
    incident: Incident | None = None
    worst: ConditionReading | None = None


class Conditions:
    """Takes one Snapshot a round and tells which incidents are new or have changed. For one thread.

    Args:
        fail_threshold: from which share of failed requests on it is an incident, 0 to 1.

    """

    def __init__(self, fail_threshold: float = FAIL_THRESHOLD) -> None:
        self._failures = FailureWindow(fail_threshold)
        self._workers = Workers()
        self._watches: dict[Key, _TrackedCondition] = {}

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Take up, after a restart of the sidecar, what the ledger holds: what still goes on, and whom it told of."""
        for incident in incidents:
            self._workers.restore(incident)
            if incident.kind in _CONDITIONS and incident.until is None:
                self._watches[_key(incident.kind, incident.container_id)] = _TrackedCondition(incident=incident)

    def apply(
        self, snapshot: Snapshot, recent: Sequence[Incident], ids: Mapping[str, str] | None = None
    ) -> list[Incident]:
        """Take one round; return the incidents to upsert.

        Args:
            snapshot: the round's.
            recent: the incidents of the last five minutes, at least.
            ids: full container ids by name, for a Snapshot whose containers have short ones.

        """
        full = ids or {}
        signs = list(restart_loops(snapshot.at, recent))
        if not snapshot.stale:
            signs += container_conditions(snapshot)
        failures = self._failures.sign(snapshot)
        if failures is not None:
            signs.append(failures)
        found: list[Incident] = []
        seen: set[Key] = set()
        for sign in signs:
            container_id = full.get(sign.subject.container or "", sign.subject.container_id)
            key = _key(sign.kind, container_id)
            seen.add(key)
            if sign.bad or key in self._watches:  # hundreds a round are neither
                subject = replace(sign.subject, container_id=container_id)
                found += self._judge(key, replace(sign, subject=subject), snapshot)
        found += self._close_unseen(seen, snapshot)
        found += self._workers.apply(snapshot, recent, full)
        return found

    def _judge(self, key: Key, sign: ConditionReading, snapshot: Snapshot) -> list[Incident]:
        watch = self._watches.setdefault(key, _TrackedCondition())
        found = []
        if watch.incident is not None and _another_start(watch.incident, sign):
            found.append(_closed(watch, snapshot.at))
            watch = self._watches[key] = _TrackedCondition()
        _count_rounds(watch, sign, snapshot.at)
        changed = _close_or_revise(watch, sign, snapshot.at) if watch.incident else _open(watch, sign, snapshot)
        if changed is not None:
            found.append(changed)
        if watch.incident is None and watch.bad_since is None:
            del self._watches[key]
        return found

    def _close_unseen(self, seen: set[Key], snapshot: Snapshot) -> list[Incident]:
        """Close what nobody speaks of any more: its container is gone or down, its restarts are long ago."""
        found = []
        for key in [watch for watch in self._watches if watch not in seen]:
            if (key[0] in _OF_ENGINE and snapshot.stale) or key[0] is IncidentKind.FAILURE_RATIO:
                continue  # unknown is not over
            watch = self._watches.pop(key)
            if watch.incident is not None:
                found.append(_closed(watch, snapshot.at))
        return found


def _key(kind: IncidentKind, container_id: str | None) -> Key:
    return kind, container_id or ""


def _another_start(incident: Incident, sign: ConditionReading) -> bool:
    before, now = incident.container_started_at, sign.subject.started_at
    return before is not None and now is not None and before != now


def _count_rounds(watch: _TrackedCondition, sign: ConditionReading, at: datetime) -> None:
    watch.good_since = (watch.good_since or at) if sign.good else None
    if not sign.bad:
        watch.bad_since, watch.bad_rounds = None, 0
        return
    watch.bad_since = watch.bad_since or sign.since or at
    watch.bad_rounds += 1
    if watch.worst is None or sign.weight > watch.worst.weight:
        watch.worst = sign


def _open(watch: _TrackedCondition, sign: ConditionReading, snapshot: Snapshot) -> Incident | None:
    since = watch.bad_since
    if since is None or watch.bad_rounds < sign.bad_rounds or (snapshot.at - since).total_seconds() < sign.bad_seconds:
        return None
    about = sign.subject
    started = format_time(about.started_at) if about.started_at else ""
    watch.incident = Incident(
        id=identity(sign.kind, about.container_id or "", started, format_time(since)),
        kind=sign.kind,
        severity=KINDS[sign.kind].severity,
        at=since,
        text=sign.text,
        project=about.project,
        service=about.service,
        container=about.container,
        container_id=about.container_id,
        container_started_at=about.started_at,
        memory_limit_bytes=about.memory_limit_bytes,
        count=sign.count,
        cause=sign.cause,
        run_id=running_id(snapshot),
    )
    return watch.incident


def _close_or_revise(watch: _TrackedCondition, sign: ConditionReading, at: datetime) -> Incident | None:
    incident = watch.incident
    if incident is None:
        return None
    if watch.good_since is not None and (at - watch.good_since).total_seconds() >= sign.good_seconds:
        return _closed(watch, watch.good_since)
    if sign.bad and sign.count > incident.count:
        revision = incident.revision + 1
        watch.incident = replace(incident, revision=revision, count=sign.count, text=sign.text, cause=sign.cause)
        return watch.incident
    return None


def _closed(watch: _TrackedCondition, at: datetime) -> Incident:
    incident = watch.incident
    if incident is None:
        raise ValueError("nothing to close")
    watch.incident = None
    text = watch.worst.text if watch.worst else incident.text
    watch.worst = None
    return replace(incident, state=FINAL, until=max(at, incident.at), text=text, revision=incident.revision + 1)
