"""Exits and restarts of containers: each with its reason, each recorded once. Pure."""

from __future__ import annotations

from dataclasses import replace

from sidecar.common.times import SECOND_NS, from_nanos
from sidecar.incidents import phrases
from sidecar.incidents.container_history import ContainerHistory, ContainerRun
from sidecar.incidents.host_count import DEATH_TAKES_NS, SETTLE_NS
from sidecar.incidents.kills import Kills
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import SIGKILL_EXIT, EvidenceItem, ExitReason, IncidentKind, Severity
from sidecar.model.signal import Inspection
from sidecar.model.snapshot import MASTER, WORKER

_KILLED_BY_OOM_WITHIN_NS = 6 * SECOND_NS  # from an OOM kill to a SIGKILL of an unknown sender
_FELLED_BY_OOM_WITHIN_NS = 2 * SECOND_NS  # from an OOM kill of a child to another exit code
_LATE_EVENT_NS = SECOND_NS
_RESTART_SOON_NS = SECOND_NS  # most restarts by policy come within 100 ms: then only the restart becomes an incident


def reason_of(run: ContainerRun) -> ExitReason | None:
    """Return why a run ended; None while a SIGKILL is unexplained, because Docker's `oom` event can be late."""
    if run.exit.died_ns is None:
        return None
    if run.stop_requested():
        return ExitReason.STOPPED
    if run.exit.exit_code is None:
        return ExitReason.UNSEEN
    if run.exit.exit_code == 0:
        return ExitReason.LOST_MASTER if run.owner.service == WORKER else ExitReason.FINISHED
    if oom_near(run):
        return ExitReason.OOM
    return None if run.exit.exit_code == SIGKILL_EXIT else ExitReason.CRASHED


def oom_near(run: ContainerRun) -> bool:
    """Return whether an OOM kill in this run is close enough to its end to be its cause."""
    if run.exit.died_ns is None or not run.kills.last_ns():
        return False
    within = _KILLED_BY_OOM_WITHIN_NS if run.exit.exit_code == SIGKILL_EXIT else _FELLED_BY_OOM_WITHIN_NS
    return run.exit.died_ns - within <= run.kills.last_ns() <= run.exit.died_ns + within + _LATE_EVENT_NS


def severity_of(run: ContainerRun, reason: ExitReason | None) -> Severity:
    """Return how severe an exit is."""
    if reason is ExitReason.STOPPED:
        return Severity.INFO
    if reason is ExitReason.FINISHED and run.owner.service not in {MASTER, WORKER}:
        return Severity.INFO
    return Severity.ERROR


class Exits:
    """Explains exits, and pairs each exit with the start that follows."""

    def __init__(self, store: IncidentStore, kills: Kills) -> None:
        self._store = store
        self._kills = kills

    def died(self, run: ContainerRun, at_ns: int, exit_code: int | None) -> None:
        """Process a container's exit."""
        run.exit = replace(run.exit, died_ns=at_ns, exit_code=exit_code)
        self._judge(run, at_ns)

    def asked_late(self, run: ContainerRun, at_ns: int) -> None:
        """Process a `stop` whose event comes after the exit that it caused."""
        if run.exit.died_ns is not None and at_ns - run.exit.died_ns <= SETTLE_NS:
            self._judge(run, at_ns)

    def oom_late(self, run: ContainerRun) -> None:
        """Process an `oom` event that comes after the exit that it explains."""
        if run.exit.reason is None and not run.alive:
            self._judge(run, run.exit.died_ns or 0)

    def flagged(self, run: ContainerRun, inspection: Inspection) -> None:
        """Process Docker's OOMKilled flag: some process of this start was OOM-killed."""
        if run.kills.counted or run.alive:
            return
        self._kills.guess(run, inspection.finished_ns or inspection.at_ns)
        self._store.add_evidence(
            run.kills.incident, EvidenceItem("inspect", "State.OOMKilled is true", from_nanos(inspection.at_ns))
        )
        self._judge(run, inspection.at_ns)

    def oom_found(self, run: ContainerRun) -> None:
        """Explain an exit by the host's count: it was an OOM kill."""
        self._kills.guess(run, run.exit.died_ns or 0)
        text = "the host counted one OOM kill more than all readable counters show"
        self._store.add_evidence(
            run.kills.incident, EvidenceItem("host_counter", text, from_nanos(run.exit.died_ns or 0))
        )
        run.exit = replace(run.exit, settled=False)
        self._judge(run, run.exit.died_ns or 0)

    def started(self, history: ContainerHistory, run: ContainerRun, at_ns: int) -> None:
        """Process a start that followed an exit."""
        before = history.before(run)
        if before is None or before.exit.died_ns is None or not self._store.shown(run):
            return
        kind = IncidentKind.MASTER_RESTART if run.owner.service == MASTER else IncidentKind.RESTART
        incident = self._store.open_for(run, kind, at_ns)
        before.exit = replace(before.exit, restart_incident=incident.id)
        if before.exit.exit_incident:
            self._store.revise(before.exit.exit_incident, until=from_nanos(at_ns))
        self._revise(before)

    def unseen(self, history: ContainerHistory, run: ContainerRun, inspection: Inspection, times: int) -> None:
        """Record a start without an event: the engine shows another start time than the one known."""
        if not self._store.shown(run):
            return
        kind = IncidentKind.MASTER_RESTART if run.owner.service == MASTER else IncidentKind.RESTART
        at_ns = inspection.started_ns or inspection.at_ns
        incident = self._store.open_for(run, kind, at_ns, Severity.WARN, count=max(1, times), reason=ExitReason.UNSEEN)
        text = f"StartedAt has changed, RestartCount reads {inspection.restarts}"
        self._store.add_evidence(incident.id, EvidenceItem("inspect", text, from_nanos(inspection.at_ns)))
        self._store.revise(incident.id, text=phrases.restarted(incident, ExitReason.UNSEEN, None, None))
        history.restarts = inspection.restarts

    def tick(self, history: ContainerHistory, now_ns: int, *, unseen_possible: bool) -> None:
        """Record exits that no start followed, and settle reasons, as time passes."""
        for run in history.runs:
            if run.exit.died_ns is None or run.exit.settled:
                continue
            ago_ns = now_ns - run.exit.died_ns
            if ago_ns >= _RESTART_SOON_NS and not run.exit.restart_incident and not run.exit.exit_incident:
                self._down(run)
            if ago_ns >= SETTLE_NS + SECOND_NS and not unseen_possible:
                self._settle(run)

    def _judge(self, run: ContainerRun, at_ns: int) -> None:
        reason = reason_of(run)
        run.exit = replace(run.exit, reason=reason)
        if reason is ExitReason.OOM and run.exit.exit_code == SIGKILL_EXIT and not self._explained(run):
            self._kills.guess(run, run.exit.died_ns or at_ns)
        self._kills.describe(run)
        self._revise(run)

    def _explained(self, run: ContainerRun) -> bool:
        """Return whether a kill already recorded can be the one that ended the container.

        On an overloaded machine seconds lie between the kill and the exit. An `oom` event after the last kill belongs
        to another kill, unless the counter has shown a kill whose event has not come yet.
        """
        recorded = max(run.kills.grown_ns, run.kills.guessed_ns)
        another = run.kills.unawaited_ns > recorded + SECOND_NS // 10
        return run.kills.counted > 0 and run.kills.last_ns() >= (run.exit.died_ns or 0) - DEATH_TAKES_NS and not another

    def _down(self, run: ContainerRun) -> None:
        if not self._store.shown(run) or run.exit.died_ns is None:
            return
        incident = self._store.open_for(run, IncidentKind.EXIT, run.exit.died_ns)
        run.exit = replace(run.exit, exit_incident=incident.id)
        self._revise(run)

    def _revise(self, run: ContainerRun) -> None:
        """Write what is known of the exit's reason into its incidents."""
        reason = ExitReason(run.exit.reason) if run.exit.reason else None
        for incident_id in (run.exit.exit_incident, run.exit.restart_incident):
            incident = self._store.get(incident_id)
            if incident is None:
                continue
            phrase = phrases.ended if incident.kind is IncidentKind.EXIT else phrases.restarted
            self._store.revise(
                incident.id,
                reason=reason or ExitReason.KILLED,
                exit_code=run.exit.exit_code,
                severity=severity_of(run, reason),
                text=phrase(incident, reason, run.exit.exit_code, run.exit.asked_signal),
                cause=run.kills.incident if reason is ExitReason.OOM else incident.cause,
            )
            self._store.add_evidence(incident.id, _end_evidence(run))

    def _settle(self, run: ContainerRun) -> None:
        run.exit = replace(run.exit, settled=True, reason=run.exit.reason or ExitReason.KILLED)
        self._revise(run)


def _end_evidence(run: ContainerRun) -> EvidenceItem:
    code = "an unknown code" if run.exit.exit_code is None else f"exit code {run.exit.exit_code}"
    asked = (
        f"; signal {run.exit.asked_signal or '?'} had been sent" if run.exit.asked_ns and run.stop_requested() else ""
    )
    killed = " (SIGKILL)" if run.exit.exit_code == SIGKILL_EXIT else ""
    near = "; an OOM kill happened within seconds of it" if oom_near(run) else ""
    return EvidenceItem("exit", f"{code}{killed}{asked}{near}", from_nanos(run.exit.died_ns or 0))
