"""OOM kills: found in a counter, told by an event, or taken from an end, and grouped into incidents. Pure."""

from __future__ import annotations

from datetime import timedelta

from sidecar.common.times import SECOND_NS, from_nanos, nanos
from sidecar.incidents import phrases
from sidecar.incidents.container_history import ContainerRun
from sidecar.incidents.host_count import DEATH_TAKES_NS, Claim, HostKillCount
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import FINAL, EvidenceItem, ExitReason, Incident, IncidentKind, Severity

TOGETHER = timedelta(seconds=2)  # kills of one life this close together are one incident
FELLED_WITHIN_NS = 6 * SECOND_NS  # from the last kill to the engine's word that the container ended of it
_EXPLAINED_NS = SECOND_NS  # growth this shortly before an end may be the kill that brought the end


class Kills:
    """Records OOM kills; whatever it does not find in a counter it claims from the host's account."""

    def __init__(self, desk: IncidentStore, account: HostKillCount) -> None:
        self._desk = desk
        self._account = account

    def counted(self, life: ContainerRun, kills: int, at_ns: int, since_ns: int) -> None:
        """Take the kernel's counter of a life, higher than when last read or read for the first time.

        The counter is the truth: what had been guessed for this life is corrected by it. `since_ns` is the reading of
        all counters before: after an absence of the sidecar, that is long ago.
        """
        grown = kills - (life.kernel or 0)
        life.kernel = kills
        if grown:
            life.grown_ns, life.grown_since_ns = at_ns, since_ns
            life.awaited = max(0, life.awaited + grown - len(life.pending))
            if grown >= len(life.pending):
                life.unawaited_ns = 0  # an event can be stamped after the moment at which a slow reading began
        if kills > life.counted:
            first = life.pending[0] if life.pending else at_ns
            self._record(life, kills - life.counted, min(first, at_ns), at_ns)
            life.counted, life.guessed = kills, 0
            life.pending.clear()
        elif kills < life.counted and life.guessed and at_ns > life.guessed_ns + _EXPLAINED_NS:
            self.take_back(life, min(life.guessed, life.counted - kills))
        elif grown:
            life.guessed = max(0, life.guessed - grown)

    def told(self, life: ContainerRun, at_ns: int) -> None:
        """Take an `oom` event. It is a signal and not a count: the counter says whether there was a kill."""
        life.oom_ns = max(life.oom_ns, at_ns)
        awaited = life.awaited > 0 and at_ns <= life.grown_ns + DEATH_TAKES_NS
        if awaited:
            life.awaited -= 1
        else:
            life.unawaited_ns = max(life.unawaited_ns, at_ns)
        incident = self.recent(life, at_ns)
        if incident is None and (awaited or life.grown_since_ns < at_ns <= life.grown_ns):
            incident = self._desk.get(life.incident)  # told late of what the counter has shown already
        if incident is None:
            life.pending.append(at_ns)
            return
        at = from_nanos(at_ns)
        self._desk.revise(
            incident.id,
            raw_events=incident.raw_events + 1,
            at=min(incident.at, at),
            until=max(incident.until or at, at),
        )

    def unreadable(self, life: ContainerRun, at_ns: int) -> None:
        """The counter is gone just after an `oom` event: the container's end took it along. One kill at least."""
        if not life.pending or (life.counted > 0 and at_ns - life.grown_ns < _EXPLAINED_NS):
            return
        self.guess(life, life.pending[0])

    def guess(self, life: ContainerRun, at_ns: int) -> None:
        """Record one kill that no counter shows, and claim it from the host's account."""
        life.guessed += 1
        life.counted += 1
        life.guessed_ns = at_ns
        self._record(life, 1, at_ns, at_ns, estimated=True)
        life.pending.clear()
        self._account.claim(Claim(life.container_id, life.key, at_ns, 1))

    def take_back(self, life: ContainerRun, kills: int) -> None:
        """Take guessed kills back from the life's newest incident; one that is left with none says so."""
        life.counted -= kills
        life.guessed -= kills
        incident = self._desk.get(life.incident)
        if incident is not None:
            left = max(0, incident.count - kills)
            self._desk.revise(incident.id, count=left, estimated=life.guessed > 0)
            self.describe(life)
            if not left and life.incident_before:  # then the kill before it was the one that ended the container
                life.incident, life.incident_before = life.incident_before, None
                self.describe(life)

    def recent(self, life: ContainerRun, at_ns: int) -> Incident | None:
        """Find the incident of this life that a kill at this time belongs to."""
        incident = self._desk.get(life.incident)
        if incident is None:
            return None
        at = from_nanos(at_ns)
        return incident if incident.at - TOGETHER <= at <= (incident.until or at) + TOGETHER else None

    def describe(self, life: ContainerRun, *, final: bool = False) -> None:
        """Bring the newest incident's words up to what is known of the life now."""
        incident = self._desk.get(life.incident)
        if incident is None:
            return
        survived = _survived(life, incident, final=final)
        incident = self._desk.revise(
            incident.id,
            process_survived=survived,
            exit_code=life.exit_code if survived is False else None,
            reason=ExitReason.OOM if survived is False else None,
            users_lost=None if survived else incident.users_lost,  # they live on with the main process
            severity=Severity.ERROR if incident.count else Severity.INFO,
        )
        if incident is not None:
            self._desk.revise(incident.id, text=phrases.oom_kill(incident))

    def before_watching(self, life: ContainerRun, kills: int, at_ns: int) -> None:
        """Note the kills that a container already had when it was first looked at: when they were, nobody can say."""
        life.kernel = life.counted = kills
        if not kills or not self._desk.shown(life):
            return
        at = life.started_ns or at_ns
        incident = self._desk.open_for(
            life, IncidentKind.OOM_KILL, at, Severity.INFO, count=kills, process_survived=True
        )
        self._desk.revise(incident.id, until=from_nanos(at_ns), text=phrases.before_watching(incident))
        self._desk.finalise(incident.id)

    def catch_up(self, life: ContainerRun) -> None:
        """Record the kills that were counted before it was known whose container it is."""
        if life.unshown and self._desk.shown(life):
            kills, first_ns = life.unshown, life.unshown_ns
            life.unshown = life.unshown_ns = 0
            self._record(life, kills, first_ns, max(first_ns, life.grown_ns))

    def _record(self, life: ContainerRun, kills: int, first_ns: int, at_ns: int, *, estimated: bool = False) -> None:
        if not self._desk.shown(life):
            life.unshown, life.unshown_ns = life.unshown + kills, life.unshown_ns or first_ns
            return
        incident = self.recent(life, first_ns) or self.recent(life, at_ns)
        if incident is None or incident.state == FINAL:
            incident = self._desk.open_for(life, IncidentKind.OOM_KILL, first_ns, count=0)
            life.incident, life.incident_before = incident.id, life.incident
        self._desk.revise(
            incident.id,
            count=incident.count + kills,
            until=max(incident.until or from_nanos(at_ns), from_nanos(at_ns)),
            raw_events=incident.raw_events + len(life.pending),
            estimated=incident.estimated or estimated,
            memory_at_death_bytes=life.peak_bytes or incident.memory_at_death_bytes,
            memory_peak_bytes=life.peak_bytes or incident.memory_peak_bytes,
        )
        self._desk.add_evidence(incident.id, _count_evidence(life, at_ns, estimated=estimated))
        self.describe(life)


def _survived(life: ContainerRun, incident: Incident, *, final: bool) -> bool | None:
    """Tell whether the main process lived on; None while that is too early to say."""
    if life.died_ns is None:
        return True if final else None
    near = nanos(incident.until or incident.at) + FELLED_WITHIN_NS >= life.died_ns
    return not (near and life.reason == ExitReason.OOM)


def _count_evidence(life: ContainerRun, at_ns: int, *, estimated: bool) -> EvidenceItem:
    if estimated:
        return EvidenceItem(
            "oom_event", "the engine's word: the kernel's counter was gone with the container", from_nanos(at_ns)
        )
    return EvidenceItem("kernel_counter", f"oom_kill of the container's cgroup reads {life.kernel}", from_nanos(at_ns))
