"""OOM kills: seen in a counter, in an event, or inferred from an end, and grouped into incidents. Pure."""

from __future__ import annotations

from datetime import timedelta

from sidecar.common.times import SECOND_NS, from_nanos, nanos
from sidecar.incidents import phrases
from sidecar.incidents.container_history import ContainerRun
from sidecar.incidents.host_count import DEATH_TAKES_NS, Claim, HostKillCount
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import FINAL, EvidenceItem, ExitReason, Incident, IncidentKind, Severity

TOGETHER = timedelta(seconds=2)  # kills of one run this close together are one incident
FELLED_WITHIN_NS = 6 * SECOND_NS  # from the last kill to the event of the exit that it caused
_EXPLAINED_NS = SECOND_NS  # growth this shortly before an exit may be the kill that caused the exit


class Kills:
    """Records OOM kills. It claims from the host's count each kill that no counter shows."""

    def __init__(self, store: IncidentStore, host_count: HostKillCount) -> None:
        self._store = store
        self._host_count = host_count

    def counted(self, run: ContainerRun, kills: int, at_ns: int, since_ns: int) -> None:
        """Process the kernel's counter of a run: it has risen, or it is read for the first time.

        The counter is the truth and corrects earlier guesses for this run. `since_ns` is the last reading of all
        counters; it is long ago after the monitor was down.
        """
        known = run.kills
        grown = kills - (known.kernel or 0)
        known.kernel = kills
        if grown:
            known.grown_ns, known.grown_since_ns = at_ns, since_ns
            known.awaited = max(0, known.awaited + grown - len(known.pending))
            if grown >= len(known.pending):
                known.unawaited_ns = 0  # an event's stamp can be later than the moment at which a slow reading began
        if kills > known.counted:
            first = known.pending[0] if known.pending else at_ns
            self._record(run, kills - known.counted, min(first, at_ns), at_ns)
            known.counted, known.guessed = kills, 0
            known.pending.clear()
        elif kills < known.counted and known.guessed and at_ns > known.guessed_ns + _EXPLAINED_NS:
            self.take_back(run, min(known.guessed, known.counted - kills))
        elif grown:
            known.guessed = max(0, known.guessed - grown)

    def oom_reported(self, run: ContainerRun, at_ns: int) -> None:
        """Process an `oom` event. The event is a signal, not a count: the counter shows whether there was a kill."""
        known = run.kills
        known.oom_ns = max(known.oom_ns, at_ns)
        awaited = known.awaited > 0 and at_ns <= known.grown_ns + DEATH_TAKES_NS
        if awaited:
            known.awaited -= 1
        else:
            known.unawaited_ns = max(known.unawaited_ns, at_ns)
        incident = self.recent(run, at_ns)
        if incident is None and (awaited or known.grown_since_ns < at_ns <= known.grown_ns):
            incident = self._store.get(known.incident)  # a late event of a kill that the counter has shown already
        if incident is None:
            known.pending.append(at_ns)
            return
        at = from_nanos(at_ns)
        self._store.revise(
            incident.id,
            raw_events=incident.raw_events + 1,
            at=min(incident.at, at),
            until=max(incident.until or at, at),
        )

    def unreadable(self, run: ContainerRun, at_ns: int) -> None:
        """Assume at least one kill: the counter went away with the container, just after an `oom` event."""
        if not run.kills.pending or (run.kills.counted > 0 and at_ns - run.kills.grown_ns < _EXPLAINED_NS):
            return
        self.guess(run, run.kills.pending[0])

    def guess(self, run: ContainerRun, at_ns: int) -> None:
        """Record one kill that no counter shows, and claim it from the host's count."""
        run.kills.guessed += 1
        run.kills.counted += 1
        run.kills.guessed_ns = at_ns
        self._record(run, 1, at_ns, at_ns, estimated=True)
        run.kills.pending.clear()
        self._host_count.claim(Claim(run.container_id, run.start.key, at_ns, 1))

    def take_back(self, run: ContainerRun, kills: int) -> None:
        """Take guessed kills out of the run's newest incident. If no kill is left, the incident's text says so."""
        run.kills.counted -= kills
        run.kills.guessed -= kills
        incident = self._store.get(run.kills.incident)
        if incident is not None:
            left = max(0, incident.count - kills)
            self._store.revise(incident.id, count=left, estimated=run.kills.guessed > 0)
            self.describe(run)
            if not left and run.kills.incident_before:  # then the kill before it ended the container
                run.kills.incident, run.kills.incident_before = run.kills.incident_before, None
                self.describe(run)

    def recent(self, run: ContainerRun, at_ns: int) -> Incident | None:
        """Find the incident of this run that a kill at this time belongs to."""
        incident = self._store.get(run.kills.incident)
        if incident is None:
            return None
        at = from_nanos(at_ns)
        return incident if incident.at - TOGETHER <= at <= (incident.until or at) + TOGETHER else None

    def describe(self, run: ContainerRun, *, final: bool = False) -> None:
        """Revise the newest incident with what is known of the run now."""
        incident = self._store.get(run.kills.incident)
        if incident is None:
            return
        survived = _survived(run, incident, final=final)
        incident = self._store.revise(
            incident.id,
            process_survived=survived,
            exit_code=run.exit.exit_code if survived is False else None,
            reason=ExitReason.OOM if survived is False else None,
            users_lost=None if survived else incident.users_lost,  # the users continue with the main process
            severity=Severity.ERROR if incident.count else Severity.INFO,
        )
        if incident is not None:
            self._store.revise(incident.id, text=phrases.oom_kill(incident))

    def before_watching(self, run: ContainerRun, kills: int, at_ns: int) -> None:
        """Record the kills that a container had before the monitor first saw it, at an unknown time."""
        run.kills.kernel = run.kills.counted = kills
        if not kills or not self._store.shown(run):
            return
        at = run.start.started_ns or at_ns
        incident = self._store.open_for(
            run, IncidentKind.OOM_KILL, at, Severity.INFO, count=kills, process_survived=True
        )
        self._store.revise(incident.id, until=from_nanos(at_ns), text=phrases.before_watching(incident))
        self._store.finalise(incident.id)

    def catch_up(self, run: ContainerRun) -> None:
        """Record the kills that were counted before the container's owner was known."""
        if run.kills.unshown and self._store.shown(run):
            kills, first_ns = run.kills.unshown, run.kills.unshown_ns
            run.kills.unshown = run.kills.unshown_ns = 0
            self._record(run, kills, first_ns, max(first_ns, run.kills.grown_ns))

    def _record(self, run: ContainerRun, kills: int, first_ns: int, at_ns: int, *, estimated: bool = False) -> None:
        if not self._store.shown(run):
            run.kills.unshown, run.kills.unshown_ns = run.kills.unshown + kills, run.kills.unshown_ns or first_ns
            return
        incident = self.recent(run, first_ns) or self.recent(run, at_ns)
        if incident is None or incident.state == FINAL:
            incident = self._store.open_for(run, IncidentKind.OOM_KILL, first_ns, count=0)
            run.kills.incident, run.kills.incident_before = incident.id, run.kills.incident
        self._store.revise(
            incident.id,
            count=incident.count + kills,
            until=max(incident.until or from_nanos(at_ns), from_nanos(at_ns)),
            raw_events=incident.raw_events + len(run.kills.pending),
            estimated=incident.estimated or estimated,
            memory_at_death_bytes=run.kills.peak_bytes or incident.memory_at_death_bytes,
            memory_peak_bytes=run.kills.peak_bytes or incident.memory_peak_bytes,
        )
        self._store.add_evidence(incident.id, _count_evidence(run, at_ns, estimated=estimated))
        self.describe(run)


def _survived(run: ContainerRun, incident: Incident, *, final: bool) -> bool | None:
    """Return whether the main process survived; None while it is too early to know."""
    if run.exit.died_ns is None:
        return True if final else None
    near = nanos(incident.until or incident.at) + FELLED_WITHIN_NS >= run.exit.died_ns
    return not (near and run.exit.reason == ExitReason.OOM)


def _count_evidence(run: ContainerRun, at_ns: int, *, estimated: bool) -> EvidenceItem:
    if estimated:
        return EvidenceItem(
            "oom_event", "reported by Docker; the kernel's counter was removed with the container", from_nanos(at_ns)
        )
    text = f"oom_kill of the container's cgroup reads {run.kills.kernel}"
    return EvidenceItem("kernel_counter", text, from_nanos(at_ns))
