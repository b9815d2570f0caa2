"""What was known around the time of an incident: memory, log, Locust's workers and users, the run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from sidecar.common.units import plural
from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, MemorySample
from sidecar.model.observation import LogEntry
from sidecar.model.snapshot import MISSING, Snapshot, Worker
from sidecar.monitor.assembly import SHORT_ID

LOG_LINES = 50
MEMORY_SAMPLES = 15
_ROUNDS = 8  # the master lists a dead worker for seconds, so the rounds before the death count
_OF_CONTAINERS = frozenset(
    {
        IncidentKind.OOM_KILL,
        IncidentKind.RESTART,
        IncidentKind.EXIT,
        IncidentKind.MASTER_RESTART,
        IncidentKind.MEMORY_HIGH,
        IncidentKind.UNHEALTHY,
        IncidentKind.WORKER_LOST,
    }
)
_ACTIVE = frozenset({"running", "spawning", "stopping"})
_SOON = timedelta(seconds=1)


class Samples(Protocol):
    """A source of a container's last memory samples."""

    def recent(self, container_id: str, before: datetime, most: int = 50) -> tuple[MemorySample, ...]:
        """Return the samples up to a moment, oldest first."""


class Lines(Protocol):
    """A source of a container's last log lines."""

    def recent(self, container_id: str, most: int) -> Sequence[LogEntry]:
        """Return the last lines, oldest first."""


class Context:
    """The last rounds, which complete incidents. Rounds and incidents come from two threads."""

    def __init__(self, samples: Samples, lines: Lines) -> None:
        self._samples = samples
        self._lines = lines
        self._lock = threading.Lock()
        self._rounds: deque[Snapshot] = deque(maxlen=_ROUNDS)

    def remember(self, snapshot: Snapshot) -> None:
        """Add one round."""
        with self._lock:
            self._rounds.append(snapshot)

    def enrich(self, incident: Incident) -> Incident:
        """Complete an incident. Its fields stay as they are, except its log, which may have grown."""
        known = replace(incident, run_id=incident.run_id or self._run_id(incident.at))
        if known.kind not in _OF_CONTAINERS or known.container_id is None:
            return known
        if known.kind is IncidentKind.OOM_KILL:
            known = self._with_memory(self._with_workers(known))
        return self._with_log(known)

    def _before(self, at: datetime) -> list[Snapshot]:
        """Return the rounds up to a moment, newest first."""
        with self._lock:
            rounds = list(self._rounds)
        return [snapshot for snapshot in reversed(rounds) if snapshot.at <= at]

    def _run_id(self, at: datetime) -> str | None:
        for snapshot in self._before(at + _SOON)[:1]:
            if snapshot.run is not None and snapshot.run.state in _ACTIVE:
                return snapshot.run.run_id
        return None

    def _with_workers(self, incident: Incident) -> Incident:
        if incident.workers:
            return incident
        workers = next(
            (workers for snapshot in self._before(incident.at) if (workers := _workers_in(snapshot, incident))), ()
        )
        if not workers:
            return incident
        users = sum(worker.users for worker in workers)
        evidence = EvidenceItem(
            "locust", "; ".join(f"worker {worker.id}: {worker.users} users" for worker in workers), incident.at
        )
        return replace(
            incident,
            workers=tuple(worker.id for worker in workers),
            users_lost=users,
            evidence=(*incident.evidence, evidence),
        )

    def _with_memory(self, incident: Incident) -> Incident:
        if any(item.samples for item in incident.evidence) or incident.container_id is None:
            return incident
        samples = self._samples.recent(incident.container_id[:SHORT_ID], incident.at, MEMORY_SAMPLES)
        if not samples:
            return incident
        last, peak = samples[-1], max(sample.usage_bytes for sample in samples)
        evidence = EvidenceItem("memory", f"{plural(len(samples), 'sample')} before", last.at, samples=samples)
        return replace(
            incident,
            memory_at_death_bytes=incident.memory_at_death_bytes or last.usage_bytes,
            memory_peak_bytes=max(incident.memory_peak_bytes or 0, peak),
            evidence=(*incident.evidence, evidence),
        )

    def _with_log(self, incident: Incident) -> Incident:
        lines = [entry for entry in self._lines.recent(incident.container_id or "", LOG_LINES) if entry.text]
        if not lines:
            return incident
        kept = tuple(item for item in incident.evidence if item.what != "log")
        text = f"the last {len(lines)} lines of its log" if len(lines) > 1 else "the last line of its log"
        return replace(
            incident,
            evidence=(*kept, EvidenceItem("log", text, lines[-1].at, lines=tuple(line.text for line in lines))),
        )


def _workers_in(snapshot: Snapshot, incident: Incident) -> tuple[Worker, ...]:
    workers = snapshot.locust.workers if snapshot.locust and incident.container is not None else ()
    return tuple(worker for worker in workers if worker.container == incident.container and worker.state != MISSING)
