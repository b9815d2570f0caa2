"""Why a container's main process ended. Pure."""

from __future__ import annotations

from sidecar.incidents.lives import SECOND, ContainerRun
from sidecar.model.incident import ExitReason, Severity

SIGKILL_EXIT = 137
WORKER = "locust-worker"
MASTER = "locust-master"

_KILLED_BY_OOM_WITHIN_NS = 6 * SECOND  # a SIGKILL from nobody, this soon after an OOM kill in the same container
_FELLED_BY_OOM_WITHIN_NS = 2 * SECOND  # another code, this soon after: it did not get over the loss of a child
_LATE_EVENT_NS = SECOND


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


def words(reason: ExitReason | None, exit_code: int | None, signal: int | None = None) -> str:
    """Say why, in words that follow a container's name."""
    if reason is ExitReason.STOPPED and signal == SIGKILL_EXIT - 128:
        said = "was killed on request"
    else:
        said = _WORDS[reason or ExitReason.KILLED]
    code = "?" if exit_code is None else str(exit_code)
    return said if reason is ExitReason.UNSEEN else f"{said} (exit code {code})"


_WORDS = {
    ExitReason.OOM: "was ended by an OOM kill",
    ExitReason.STOPPED: "was stopped on request",
    ExitReason.CRASHED: "crashed",
    ExitReason.LOST_MASTER: "gave up its master and left",
    ExitReason.FINISHED: "came to its end",
    ExitReason.UNSEEN: "ended while nobody could look",
    ExitReason.KILLED: "was killed by SIGKILL, sent by neither Docker nor the OOM killer",
}
