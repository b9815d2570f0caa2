"""Locust workers that were lost, and workers that left. Pure but for its memory.

Each worker id becomes one incident. A worker is lost when the master misses it or when its container ended without a
request. It left when it quit by itself or when a person stopped its container. A worker that was missing and came back
can be lost again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sidecar.common.times import format_time
from sidecar.incidents.condition_rules import running_id
from sidecar.model.incident import FINAL, ExitReason, Incident, IncidentKind, identity
from sidecar.model.incident_kinds import KINDS, users_and_workers, without_project
from sidecar.model.snapshot import MASTER, MISSING, WORKER, Container, Locust, Snapshot, Worker

UNDECIDED = timedelta(seconds=4)  # the reason of an exit is settled two seconds later, and a round takes two more

_SHORT_ID = re.compile(r"[0-9a-f]{12}")
_DEATHS = frozenset({IncidentKind.EXIT, IncidentKind.RESTART})
_LEFT_FOR = frozenset({ExitReason.STOPPED, ExitReason.FINISHED})


@dataclass(slots=True)
class _TrackedWorker:
    """The state of one worker while the master lists it, and shortly after."""

    worker: Worker
    first_seen: datetime
    gone_since: datetime | None = None
    incident: Incident | None = None


class Workers:
    """Follows the workers by their ids, round by round."""

    def __init__(self) -> None:
        self._known: dict[str, _TrackedWorker] = {}
        self._restored: dict[str, Incident] = {}
        self._master: datetime | None = None

    def restore(self, incident: Incident) -> None:
        """Remember, after a restart of the monitor, the incident of a worker."""
        if incident.kind in {IncidentKind.WORKER_LOST, IncidentKind.WORKER_LEFT}:
            self._restored.update((worker, incident) for worker in incident.workers)

    def apply(self, snapshot: Snapshot, recent: Sequence[Incident], full: Mapping[str, str]) -> list[Incident]:
        """Process one round; return the incidents to upsert."""
        self._forget_for_new_master(snapshot)
        if snapshot.locust is not None:
            self._see(snapshot.locust, snapshot.at)
        incidents = []
        for worker_id, known in list(self._known.items()):
            changed = self._judge(known, snapshot, recent, full)
            if changed is not None:
                known.incident = changed
                incidents.append(changed)
            if known.incident and known.gone_since:
                del self._known[worker_id]
        return incidents

    def _forget_for_new_master(self, snapshot: Snapshot) -> None:
        """Forget the workers of the earlier master: a restarted master has an empty list."""
        started = next((container.started_at for container in snapshot.containers if container.service == MASTER), None)
        if started is not None and self._master is not None and started != self._master:
            self._known.clear()
        self._master = started or self._master

    def _see(self, locust: Locust, at: datetime) -> None:
        listed = {worker.id: worker for worker in locust.workers}
        for worker_id, worker in listed.items():
            known = self._known.get(worker_id)
            if known is None:
                self._known[worker_id] = _TrackedWorker(worker, at, incident=self._restored.pop(worker_id, None))
                continue
            known.gone_since = None
            if worker.state != MISSING:  # a missing worker keeps its last figures: its users went with it
                known.worker = _at_home(worker, known.worker)
            else:
                known.worker = replace(known.worker, state=MISSING)
        for worker_id, known in self._known.items():
            if worker_id not in listed and known.gone_since is None:
                known.gone_since = at

    def _judge(
        self, known: _TrackedWorker, snapshot: Snapshot, recent: Sequence[Incident], full: Mapping[str, str]
    ) -> Incident | None:
        if known.incident is not None and (known.incident.note is None or _is_well(known)):
            return _came_back(known, snapshot.at)
        death = _death(known, recent)
        missing = known.worker.state == MISSING and known.gone_since is None
        if death is not None and (death.kind is IncidentKind.OOM_KILL or death.reason not in _LEFT_FOR):
            return _incident(IncidentKind.WORKER_LOST, known, snapshot, full, death)
        if death is None and missing:
            return _incident(IncidentKind.WORKER_LOST, known, snapshot, full, None)
        gone_for = snapshot.at - known.gone_since if known.gone_since else timedelta()
        if missing or (known.gone_since is not None and (death is not None or gone_for >= UNDECIDED)):
            return _incident(IncidentKind.WORKER_LEFT, known, snapshot, full, death)
        return None


def _death(known: _TrackedWorker, recent: Sequence[Incident]) -> Incident | None:
    """Find what ended the container while this worker lived in it. An OOM kill comes first: it is the cause."""
    ends = [
        incident
        for incident in recent
        if incident.container is not None
        and incident.container == known.worker.container
        and _lived_in(known.worker, incident)
        and incident.at >= known.first_seen
        and (
            incident.kind in _DEATHS or (incident.kind is IncidentKind.OOM_KILL and incident.process_survived is False)
        )
    ]
    return min(ends, key=lambda end: (end.kind is not IncidentKind.OOM_KILL, end.at), default=None)


def _lived_in(worker: Worker, death: Incident) -> bool:
    """Return whether this worker's container ended, and not an earlier one of the same name.

    A worker's id begins with its host name, which is the container's short id unless somebody gave it another.
    """
    host = worker.id.rpartition("_")[0]
    return death.container_id is None or not _SHORT_ID.fullmatch(host) or death.container_id.startswith(host)


def _incident(
    kind: IncidentKind, known: _TrackedWorker, snapshot: Snapshot, full: Mapping[str, str], death: Incident | None
) -> Incident:
    worker = known.worker
    container = next((container for container in snapshot.containers if container.name == worker.container), None)
    lost = kind is IncidentKind.WORKER_LOST
    users = _users(worker, death)
    at = death.at if death else known.gone_since or snapshot.at
    again = f"@{format_time(at)}" if known.incident else ""  # the worker had come back before
    return Incident(
        id=identity(kind, _id(container, full), "", worker.id + again),
        kind=kind,
        severity=KINDS[kind].severity,
        at=at,
        text=_text(worker, snapshot, death, users, lost=lost),
        state=FINAL,
        until=at,
        project=snapshot.project,
        service=_service(worker, container, death),
        container=worker.container,
        container_id=_id(container, full) or None,
        reason=death.reason if death else None,
        workers=(worker.id,),
        users_lost=users,
        cause=death.id if death else None,
        run_id=running_id(snapshot),
    )


def _at_home(worker: Worker, before: Worker) -> Worker:
    """Return the worker in its earlier container: the master may list it after its container is removed."""
    if worker.container is not None or before.container is None:
        return worker
    return replace(worker, container=before.container, remote=False)


def _service(worker: Worker, container: Container | None, death: Incident | None) -> str | None:
    if container is not None:
        return container.service
    return death.service if death else WORKER if worker.remote else None


def _users(worker: Worker, death: Incident | None) -> int:
    """Return how many users were lost with it. The number in its death comes first: two numbers would confuse."""
    if death is not None and death.users_lost is not None and death.workers == (worker.id,):
        return death.users_lost
    return worker.users


def _text(worker: Worker, snapshot: Snapshot, death: Incident | None, users: int, *, lost: bool) -> str:
    home = _home(worker, snapshot.project)
    went = users_and_workers(users, (worker.id,))
    if not lost:
        return f"{home} left{went}"
    if death is None:
        return f"{home} was lost: the master no longer hears it{went}"
    why = ExitReason.OOM if death.kind is IncidentKind.OOM_KILL else death.reason
    return f"{home} was lost: its container {'was OOM-killed' if why is ExitReason.OOM else 'ended'}{went}"


def _home(worker: Worker, project: str) -> str:
    if worker.container:
        name = without_project(worker.container, project)
        return f"one of {worker.processes} processes of {name}" if worker.processes > 1 else name
    return "a remote worker" if worker.remote else "a worker in an unknown container"


def _id(container: Container | None, full: Mapping[str, str]) -> str:
    return full.get(container.name, container.id) if container else ""


def _is_well(known: _TrackedWorker) -> bool:
    return known.gone_since is None and known.worker.state != MISSING


def _came_back(known: _TrackedWorker, at: datetime) -> Incident | None:
    """Revise the incident of a worker that was only missing and that the master hears again."""
    lost = known.incident
    if lost is None or lost.kind is not IncidentKind.WORKER_LOST or lost.cause or lost.note or not _is_well(known):
        return None
    text = f"the master heard it again after {(at - lost.at).total_seconds():.0f} s"
    return replace(lost, until=at, note=text, revision=lost.revision + 1)
