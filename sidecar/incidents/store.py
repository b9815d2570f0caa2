"""The incidents that may still change: opened, revised, made final; and the changes since the last call. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sidecar.common.times import from_nanos
from sidecar.incidents.container_history import ContainerRun
from sidecar.model.incident import FINAL, PROVISIONAL, EvidenceItem, Incident, IncidentKind, Severity, identity
from sidecar.model.incident_kinds import KINDS

Enrich = Callable[[Incident], Incident]


class IncidentStore:
    """Holds the incidents that may still change.

    Args:
        shown: returns whether a container's incidents are recorded (of the project, the watched one, or a helper).
        enrich: adds what was known around the incident's time: memory, log, workers, users, the run.

    """

    def __init__(self, shown: Callable[[ContainerRun], bool], enrich: Enrich) -> None:
        self.shown = shown
        self._enrich = enrich
        self._open: dict[str, Incident] = {}
        self._changed: dict[str, Incident] = {}

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Load the incidents of the ledger that may still change."""
        self._open.update((incident.id, incident) for incident in incidents)

    def take_changes(self) -> list[Incident]:
        """Return each incident that changed since the last call, in its newest revision."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def get(self, incident_id: str | None) -> Incident | None:
        """Return an incident that may still change; None if no incident has this id."""
        return self._open.get(incident_id) if incident_id else None

    def provisional(self) -> list[Incident]:
        """Return every incident that is not final."""
        return [incident for incident in self._open.values() if incident.state == PROVISIONAL]

    def open_for(
        self,
        run: ContainerRun,
        kind: IncidentKind,
        at_ns: int,
        severity: Severity | None = None,
        **further: Any,  # noqa: ANN401  fields of Incident
    ) -> Incident:
        """Open an incident of a container; the same start and the same first sign give the same incident."""
        owner = run.owner
        incident = Incident(
            id=identity(kind, run.container_id, run.start.key, at_ns),
            kind=kind,
            severity=severity or KINDS[kind].severity,
            at=from_nanos(at_ns),
            text="",
            until=from_nanos(at_ns),
            project=owner.project,
            service=owner.service,
            container=owner.name,
            container_id=run.container_id,
            container_started_at=None if run.start.started_ns is None else from_nanos(run.start.started_ns),
            memory_limit_bytes=run.memory_limit_bytes,
            helper=owner.helper,
            **further,
        )
        return self.put(incident)

    def put(self, incident: Incident) -> Incident:
        """Add an incident, unless it is there already; return the incident that is kept."""
        known = self._open.get(incident.id)
        if known is not None:
            return known
        return self._save(self._enrich(incident))

    def revise(self, incident_id: str | None, **changes: Any) -> Incident | None:  # noqa: ANN401  fields of Incident
        """Change fields of an incident that may still change, and return it; None if no incident has this id."""
        incident = self.get(incident_id)
        if incident is None:
            return None
        revised = replace(incident, **changes)
        if revised == incident:
            return incident
        return self._save(replace(revised, revision=incident.revision + 1))

    def add_evidence(self, incident_id: str | None, evidence: EvidenceItem) -> None:
        """Add one observation, in place of an earlier one of the same kind."""
        incident = self.get(incident_id)
        if incident is not None:
            kept = tuple(item for item in incident.evidence if item.what != evidence.what)
            self.revise(incident_id, evidence=(*kept, evidence))

    def finalise(self, incident_id: str) -> None:
        """Make an incident final, after a last look at what was known around its time."""
        incident = self.get(incident_id)
        if incident is not None:
            self._save(replace(self._enrich(incident), state=FINAL, revision=incident.revision + 1))

    def forget(self, before: datetime) -> None:
        """Forget final incidents that ended before this moment: nothing will change them."""
        old = [
            incident.id
            for incident in self._open.values()
            if incident.state == FINAL and incident.until is not None and incident.until < before
        ]
        for incident_id in old:
            del self._open[incident_id]

    def _save(self, incident: Incident) -> Incident:
        self._open[incident.id] = incident
        self._changed[incident.id] = incident
        return incident
