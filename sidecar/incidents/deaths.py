"""Why a container's main process ended. Pure."""

from __future__ import annotations

from sidecar.incidents.lives import SECOND, Life
from sidecar.model.incident import Reason, Severity

SIGKILL_EXIT = 137
WORKER = "locust-worker"
MASTER = "locust-master"

_KILLED_BY_OOM_WITHIN_NS = 6 * SECOND  # a SIGKILL from nobody, this soon after an OOM kill in the same container
_FELLED_BY_OOM_WITHIN_NS = 2 * SECOND  # another code, this soon after: it did not get over the loss of a child
_LATE_EVENT_NS = SECOND


def reason_of(life: Life) -> Reason | None:
    """Tell why a life ended; None when a SIGKILL is not explained (yet): Docker's word of an OOM kill can be late."""
    if life.died_ns is None:
        return None
    if life.was_asked():
        return Reason.STOPPED
    if life.exit_code is None:
        return Reason.UNSEEN
    if life.exit_code == 0:
        return Reason.LOST_MASTER if life.owner.service == WORKER else Reason.FINISHED
    if oom_near(life):
        return Reason.OOM
    return None if life.exit_code == SIGKILL_EXIT else Reason.CRASHED


def oom_near(life: Life) -> bool:
    """Tell whether an OOM kill in this life is close enough to its end to be its cause."""
    if life.died_ns is None or not life.last_kill_ns():
        return False
    within = _KILLED_BY_OOM_WITHIN_NS if life.exit_code == SIGKILL_EXIT else _FELLED_BY_OOM_WITHIN_NS
    return life.died_ns - within <= life.last_kill_ns() <= life.died_ns + within + _LATE_EVENT_NS


def severity_of(life: Life, reason: Reason | None) -> Severity:
    """Say how bad an end is."""
    if reason is Reason.STOPPED:
        return Severity.INFO
    if reason is Reason.FINISHED and life.owner.service not in {MASTER, WORKER}:
        return Severity.INFO
    return Severity.ERROR


def words(reason: Reason | None, exit_code: int | None, signal: int | None = None) -> str:
    """Say why, in words that follow a container's name."""
    if reason is Reason.STOPPED and signal == SIGKILL_EXIT - 128:
        said = "was killed on request"
    else:
        said = _WORDS[reason or Reason.KILLED]
    code = "?" if exit_code is None else str(exit_code)
    return said if reason is Reason.UNSEEN else f"{said} (exit code {code})"


_WORDS = {
    Reason.OOM: "was ended by an OOM kill",
    Reason.STOPPED: "was stopped on request",
    Reason.CRASHED: "crashed",
    Reason.LOST_MASTER: "gave up its master and left",
    Reason.FINISHED: "came to its end",
    Reason.UNSEEN: "ended while nobody could look",
    Reason.KILLED: "was killed by SIGKILL, sent by neither Docker nor the OOM killer",
}
