"""What the live view shows: the newest Snapshot that could be had, or the one that is held while paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.incidents.warnings import judged
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Snapshot, Warn
from sidecar.views.scene import ContainerLog, Scene, ScreenName, ViewState

LOG_LINES = 200


@dataclass(slots=True)
class SnapshotFeed:
    """The newest Snapshot, why there is no newer one, and what else the open screen shows.

    `beside` tells what the monitor cannot know, `warnings` is what it told last.
    """

    reader: SidecarReader
    snapshot: Snapshot
    tail: int
    problem: str = ""
    beside: Callable[[], tuple[Warn, ...]] = tuple
    warnings: tuple[Warn, ...] = ()
    held: Snapshot | None = None
    log: ContainerLog | None = None
    incident: Incident | None = None

    def refresh(self) -> None:
        """Read a newer Snapshot. After a failure the old one stays, with the failure as text."""
        self.warnings = self.beside()
        try:
            self.snapshot, self.problem = self.reader.snapshot(), ""
        except MonitorError as error:
            self.problem = f"the sidecar does not answer ({error}); what stands below is old; trying again"

    def follow(self, state: ViewState, now: datetime, *, again: bool) -> None:
        """Hold the picture or let it go, and read what the open screen needs; `again` also reads what is there."""
        self.held = (self.held or self._present(now)) if state.paused else None
        anew = again and not state.paused
        # A log that was scrolled back stands still, or its lines would move away from under the eye.
        at_its_end = anew and not state.scroll
        if state.where is ScreenName.LOG and state.container and (at_its_end or not self._has_log_of(state.container)):
            self.log = self._read_log(state.container, now)
        if state.where is ScreenName.INCIDENT and state.incident and (anew or not self._has_incident(state.incident)):
            self._read_incident(state.incident)

    def scene(self, now: datetime) -> Scene:
        """Return what is to be drawn at this moment."""
        shown = self.held or self._present(now)
        known = {incident.id for incident in shown.incidents}
        return Scene(
            snapshot=replace(
                shown,
                logs=shown.logs[-self.tail :] if self.tail else (),
                warnings=(*self.warnings, *shown.warnings),
            ),
            now=now,
            zone=None,
            problem=self.problem,
            paused=self.held is not None,
            missed=sum(incident.id not in known and not incident.helper for incident in self.snapshot.incidents)
            if self.held
            else 0,
            log=self.log,
            incident=self.incident,
        )

    def _present(self, now: datetime) -> Snapshot:
        return replace(self.snapshot, stale=True) if self.problem else judged(self.snapshot, now)

    def _has_log_of(self, container: str) -> bool:
        return self.log is not None and self.log.container == container

    def _read_log(self, container: str, now: datetime) -> ContainerLog:
        try:
            return ContainerLog(container, self.reader.logs(container, LOG_LINES), now)
        except MonitorError as error:
            before = self.log if self.log is not None and self.log.container == container else ContainerLog(container)
            return replace(before, problem=f"no newer lines of this log from the sidecar: {error}")

    def _has_incident(self, incident_id: str) -> bool:
        return self.incident is not None and self.incident.id == incident_id

    def _read_incident(self, incident_id: str) -> None:
        """Read an incident with all its evidence; without an answer, what the Snapshot holds of it is shown."""
        newest = next((incident for incident in self.snapshot.incidents if incident.id == incident_id), None)
        kept = self.incident if self._has_incident(incident_id) else None
        if kept is not None and newest is not None and newest.revision <= kept.revision:
            return
        try:
            self.incident = self.reader.incident(incident_id)
        except MonitorError:
            self.incident = newest


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)
