"""Exits and restarts of containers: each with its reason, each told once. Pure."""

from __future__ import annotations

from sidecar.common.times import SECOND_NS, from_nanos
from sidecar.incidents import phrases
from sidecar.incidents.container_history import ContainerHistory, ContainerRun
from sidecar.incidents.host_count import DEATH_TAKES_NS, SETTLE_NS
from sidecar.incidents.kills import Kills
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import EvidenceItem, ExitReason, IncidentKind, Severity
from sidecar.model.signal import Inspection

SIGKILL_EXIT = 137
WORKER = "locust-worker"
MASTER = "locust-master"

_KILLED_BY_OOM_WITHIN_NS = 6 * SECOND_NS  # a SIGKILL from nobody, this soon after an OOM kill in the same container
_FELLED_BY_OOM_WITHIN_NS = 2 * SECOND_NS  # another code, this soon after: it did not get over the loss of a child
_LATE_EVENT_NS = SECOND_NS


def reason_of(life: ContainerRun) -> ExitReason | None:
    """Tell why a life ended; None when a SIGKILL is not explained (yet): Docker's word of an OOM kill can be late."""
    if life.died_ns is None:
        return None
    if life.was_asked():
        return ExitReason.STOPPED
    if life.exit_code is None:
        return ExitReason.UNSEEN
    if life.exit_code == 0:
        return ExitReason.LOST_MASTER if life.owner.service == WORKER else ExitReason.FINISHED
    if oom_near(life):
        return ExitReason.OOM
    return None if life.exit_code == SIGKILL_EXIT else ExitReason.CRASHED


def oom_near(life: ContainerRun) -> bool:
    """Tell whether an OOM kill in this life is close enough to its end to be its cause."""
    if life.died_ns is None or not life.last_kill_ns():
        return False
    within = _KILLED_BY_OOM_WITHIN_NS if life.exit_code == SIGKILL_EXIT else _FELLED_BY_OOM_WITHIN_NS
    return life.died_ns - within <= life.last_kill_ns() <= life.died_ns + within + _LATE_EVENT_NS


def severity_of(life: ContainerRun, reason: ExitReason | None) -> Severity:
    """Say how bad an end is."""
    if reason is ExitReason.STOPPED:
        return Severity.INFO
    if reason is ExitReason.FINISHED and life.owner.service not in {MASTER, WORKER}:
        return Severity.INFO
    return Severity.ERROR


_RESTART_SOON_NS = (
    SECOND_NS  # most policy restarts come within 100 ms: an end that is none for long is told as a restart
)


class Exits:
    """Explains ends, and pairs them with the starts that follow."""

    def __init__(self, desk: IncidentStore, kills: Kills) -> None:
        self._desk = desk
        self._kills = kills

    def died(self, life: ContainerRun, at_ns: int, exit_code: int | None) -> None:
        """Take a container's end."""
        life.died_ns, life.exit_code = at_ns, exit_code
        self._judge(life, at_ns)

    def asked_late(self, life: ContainerRun, at_ns: int) -> None:
        """Take a `stop` that is told after the end that it asked for."""
        if life.died_ns is not None and at_ns - life.died_ns <= SETTLE_NS:
            self._judge(life, at_ns)

    def oom_late(self, life: ContainerRun) -> None:
        """Take an `oom` event that is told after the end which it explains."""
        if life.reason is None and not life.alive:
            self._judge(life, life.died_ns or 0)

    def flagged(self, life: ContainerRun, inspection: Inspection) -> None:
        """Take Docker's OOMKilled flag: some process of this start was OOM-killed."""
        if life.counted or life.alive:
            return
        self._kills.guess(life, inspection.finished_ns or inspection.at_ns)
        self._desk.add_evidence(
            life.incident, EvidenceItem("inspect", "State.OOMKilled is true", from_nanos(inspection.at_ns))
        )
        self._judge(life, inspection.at_ns)

    def oom_found(self, life: ContainerRun) -> None:
        """The host's count says that an unexplained end was an OOM kill after all."""
        self._kills.guess(life, life.died_ns or 0)
        text = "the host counted one OOM kill more than every counter in sight shows"
        self._desk.add_evidence(life.incident, EvidenceItem("host_counter", text, from_nanos(life.died_ns or 0)))
        life.settled = False
        self._judge(life, life.died_ns or 0)

    def started(self, vessel: ContainerHistory, life: ContainerRun, at_ns: int) -> None:
        """Take a start that followed an end."""
        before = vessel.before(life)
        if before is None or before.died_ns is None or not self._desk.shown(life):
            return
        kind = IncidentKind.MASTER_RESTART if life.owner.service == MASTER else IncidentKind.RESTART
        incident = self._desk.open_for(life, kind, at_ns)
        before.restart_incident = incident.id
        if before.exit_incident:
            self._desk.revise(before.exit_incident, until=from_nanos(at_ns))
        self._tell(before)

    def unseen(self, vessel: ContainerHistory, life: ContainerRun, inspection: Inspection, times: int) -> None:
        """A start that no event told of: the container runs since another time than was known."""
        if not self._desk.shown(life):
            return
        kind = IncidentKind.MASTER_RESTART if life.owner.service == MASTER else IncidentKind.RESTART
        at_ns = inspection.started_ns or inspection.at_ns
        incident = self._desk.open_for(life, kind, at_ns, Severity.WARN, count=max(1, times), reason=ExitReason.UNSEEN)
        text = f"StartedAt has changed, RestartCount reads {inspection.restarts}"
        self._desk.add_evidence(incident.id, EvidenceItem("inspect", text, from_nanos(inspection.at_ns)))
        self._desk.revise(incident.id, text=phrases.restarted(incident, ExitReason.UNSEEN, None, None))
        vessel.restarts = inspection.restarts

    def tick(self, vessel: ContainerHistory, now_ns: int, *, unseen_possible: bool) -> None:
        """Let time pass: tell of ends that nothing followed, and settle reasons."""
        for life in vessel.lives:
            if life.died_ns is None or life.settled:
                continue
            if now_ns - life.died_ns >= _RESTART_SOON_NS and not life.restart_incident and not life.exit_incident:
                self._down(life)
            if now_ns - life.died_ns >= SETTLE_NS + SECOND_NS and not unseen_possible:
                self._settle(life)

    def _judge(self, life: ContainerRun, at_ns: int) -> None:
        reason = reason_of(life)
        life.reason = reason
        if reason is ExitReason.OOM and life.exit_code == SIGKILL_EXIT and not self._explained(life):
            self._kills.guess(life, life.died_ns or at_ns)
        self._kills.describe(life)
        self._tell(life)

    def _explained(self, life: ContainerRun) -> bool:
        """Whether a kill already recorded can be the one that ended the container.

        On a machine out of breath seconds lie between the two. An `oom` event after the last kill is of another, unless
        a kill that the counter has shown still had its event to come.
        """
        recorded = max(life.grown_ns, life.guessed_ns)
        another = life.unawaited_ns > recorded + SECOND_NS // 10
        return life.counted > 0 and life.last_kill_ns() >= (life.died_ns or 0) - DEATH_TAKES_NS and not another

    def _down(self, life: ContainerRun) -> None:
        if not self._desk.shown(life) or life.died_ns is None:
            return
        incident = self._desk.open_for(life, IncidentKind.EXIT, life.died_ns)
        life.exit_incident = incident.id
        self._tell(life)

    def _tell(self, life: ContainerRun) -> None:
        """Bring the incidents that follow from this end up to what is known of its reason."""
        reason = ExitReason(life.reason) if life.reason else None
        for incident_id in (life.exit_incident, life.restart_incident):
            incident = self._desk.get(incident_id)
            if incident is None:
                continue
            say = phrases.ended if incident.kind is IncidentKind.EXIT else phrases.restarted
            self._desk.revise(
                incident.id,
                reason=reason or ExitReason.KILLED,
                exit_code=life.exit_code,
                severity=severity_of(life, reason),
                text=say(incident, reason, life.exit_code, life.asked_signal),
                cause=life.incident if reason is ExitReason.OOM else incident.cause,
            )
            self._desk.add_evidence(incident.id, _end_evidence(life))

    def _settle(self, life: ContainerRun) -> None:
        life.settled = True
        if life.reason is None and life.died_ns is not None:
            life.reason = ExitReason.KILLED
        self._tell(life)


def _end_evidence(life: ContainerRun) -> EvidenceItem:
    code = "an unknown code" if life.exit_code is None else f"exit code {life.exit_code}"
    asked = f"; signal {life.asked_signal or '?'} had been sent" if life.asked_ns and life.was_asked() else ""
    killed = " (SIGKILL)" if life.exit_code == SIGKILL_EXIT else ""
    near = "; an OOM kill was close by" if oom_near(life) else ""
    return EvidenceItem("exit", f"{code}{killed}{asked}{near}", from_nanos(life.died_ns or 0))
