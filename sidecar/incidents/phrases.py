"""The text of each incident, in one line. Pure."""

from __future__ import annotations

from sidecar.common.units import mebibytes, of_limit, plural
from sidecar.model.incident import ExitReason, Incident
from sidecar.model.incident_kinds import users_and_workers, without_project

_SIGKILL = 9


def oom_kill(incident: Incident) -> str:
    """Describe an OOM kill: the container, its memory, and the users lost with the worker."""
    name = _short_name(incident)
    if not incident.count:
        return f"{name}: Docker reported an OOM kill, but the kernel counted none"
    about = "about " if incident.estimated else ""
    times = "" if incident.count == 1 else f" {about}{incident.count} times"
    if incident.process_survived is False:
        sentence = f"{name} was OOM-killed{times}"
    else:
        kills = "an OOM kill" if incident.count == 1 else f"{about}{incident.count} OOM kills"
        sentence = f"{kills} in {name}" + ("; the main process survived" if incident.process_survived else "")
    return sentence + _memory(incident) + _users(incident)


def _memory(incident: Incident) -> str:
    used, limit = incident.memory_at_death_bytes, incident.memory_limit_bytes
    if limit and used:
        return f", {of_limit(used, limit)} in use"
    return f", limit {mebibytes(limit)}" if limit else ""


def _users(incident: Incident) -> str:
    gone = incident.process_survived is False
    return users_and_workers(incident.users_lost, incident.workers) if gone else ""


def before_watching(incident: Incident) -> str:
    """Describe the OOM kills that a container had before the monitor first saw it."""
    return f"{plural(incident.count, 'OOM kill')} in {_short_name(incident)} before the monitor first saw it"


def ended(incident: Incident, reason: ExitReason | None, exit_code: int | None, signal: int | None) -> str:
    """Describe why a container is down."""
    return f"{_short_name(incident)} {_ending(reason, exit_code, signal)}"


def restarted(incident: Incident, reason: ExitReason | None, exit_code: int | None, signal: int | None) -> str:
    """Describe a restart, and why the container had ended."""
    times = f" {incident.count} times" if incident.count > 1 else ""
    return f"{_short_name(incident)} was restarted{times}: it {_ending(reason, exit_code, signal)}"


def unplaced(kills: int, where: str, *, blind: bool) -> str:
    """Describe OOM kills that the host counted in no known container."""
    counted = plural(kills, "OOM kill")
    if where:
        return f"{counted} on this host outside Docker's containers, in {where}"
    why = " while the monitor could not see" if blind else ""
    return f"{counted} on this host in no known container{why}"


def _ending(reason: ExitReason | None, exit_code: int | None, signal: int | None = None) -> str:
    """Describe an exit, as the words after a container's name."""
    if reason is ExitReason.STOPPED and signal == _SIGKILL:
        said = "was killed on request"
    else:
        said = _ENDINGS[reason or ExitReason.KILLED]
    code = "?" if exit_code is None else str(exit_code)
    return said if reason is ExitReason.UNSEEN else f"{said} (exit code {code})"


_ENDINGS = {
    ExitReason.OOM: "was ended by an OOM kill",
    ExitReason.STOPPED: "was stopped on request",
    ExitReason.CRASHED: "crashed",
    ExitReason.LOST_MASTER: "ended after it lost the master",
    ExitReason.FINISHED: "finished",
    ExitReason.UNSEEN: "ended while the monitor could not see",
    ExitReason.KILLED: "was killed by SIGKILL, sent by neither Docker nor the OOM killer",
}


def _short_name(incident: Incident) -> str:
    return without_project(incident.container, incident.project)
