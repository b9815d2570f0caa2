"""Checks of the machine and its engine: Docker, disks, memory, ports. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.common.units import GIB, MIB, plural
from sidecar.diagnose.evidence import Filesystem, PortFacts
from sidecar.diagnose.rule import FoundCause, Outcome, Rule, cannot_tell, without_engine
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.stack import MASTER, MONITOR, RECENT, Stack, size
from sidecar.engine.docker_engine import OLDEST_ENGINE
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "host"
OLDEST_COMPOSE = (2, 24)
_OLDEST_API = (1, 44)
_SMALL_BYTES = GIB  # below this a file system is a tmpfs or a test's own, and only its share counts
_FULL_SHARE, _FULL_BYTES = 0.005, 256 * MIB
_FULL_SMALL_SHARE = 0.02
_LOW_SHARE, _LOW_BYTES = 0.02, 5 * GIB
_NEAR_SHARE = 0.10
_STATES = {
    "absent": "Docker is not installed",
    "stopped": "Docker is installed, but its engine is not running",
    "hung": "the engine accepted the request and gave no answer within 5 s",
    "remote": "the engine is on another machine",
    "broken": "another program answers at this socket, not a Docker engine",
}


# ---- engine ----------------------------------------------------------------------------------------------------------


def engine(stack: Stack) -> Outcome:
    """Check whether Docker answers, gives permission, and is new enough."""
    about = stack.evidence.engine
    if about.status == "denied":
        user = stack.evidence.host.user
        evidence = stack.observed(
            "Docker's socket", f"{about.socket}: permission denied for {user}", "permission to open it"
        )
        values = {"socket": about.socket, "user": user}
        return Outcome(evidence.seen, (FoundCause("docker-permission-denied", (evidence,), (about.socket,), values),))
    if about.status != "ok":
        return Outcome(f"{about.socket}: {about.error}", (_unreachable(stack),))
    text = f"Engine {about.version}, API {about.api_version}, Compose {about.compose_version or '?'}"
    return Outcome(text, tuple(_too_old(stack)))


def _unreachable(stack: Stack) -> FoundCause:
    about = stack.evidence.engine
    state = _STATES[about.status]
    evidence = [stack.observed("Docker's socket", f"{about.socket}: {about.error or state}", "an engine that answers")]
    fix = {"hung": "hung", "remote": "elsewhere"}.get(about.status, "default")
    if about.docker_host:
        wanted = "not set, or the socket of a running engine"
        evidence.append(FindingEvidence("DOCKER_HOST in this shell", about.docker_host, wanted))
        fix = "elsewhere" if about.cli_installed else fix
    values = {"state": state, "docker_host": about.docker_host}
    return FoundCause("docker-unreachable", tuple(evidence), (about.socket,), values, fix)


def _too_old(stack: Stack) -> Iterator[FoundCause]:
    about = stack.evidence.engine
    major = re.match(r"\d+", about.version)
    if (major and int(major[0]) < OLDEST_ENGINE) or (about.api_version and _parts(about.api_version) < _OLDEST_API):
        version = f"{about.version} (API {about.api_version})"
        wanted = f"{OLDEST_ENGINE} or newer (API 1.44)"
        yield _old(stack.observed("Docker Engine", version, wanted), "Docker Engine", about.version)
    wanted = "version 2.24 or newer"
    if about.compose_error:
        seen = stack.observed("docker compose", about.compose_error, wanted)
        yield _old(seen, "Docker Compose", "nothing", "compose")
    elif about.compose_version and _parts(about.compose_version) < OLDEST_COMPOSE:
        version = about.compose_version
        yield _old(stack.observed("docker compose", version, wanted), "Docker Compose", version)


def _old(evidence: FindingEvidence, what: str, version: str, fix: str = "default") -> FoundCause:
    return FoundCause("engine-too-old", (evidence,), (what,), {"what": what, "version": version}, fix)


def _parts(version: str) -> tuple[int, int]:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (9999, 0)


# ---- disk ------------------------------------------------------------------------------------------------------------


def disk(stack: Stack) -> Outcome:
    """Check whether a file system that the stack writes to is full."""
    known = list(stack.evidence.host.filesystems)
    for probe in stack.evidence.probes:
        known += probe.inside.filesystems if probe.inside else ()
    if not known:
        return cannot_tell(stack.gap("host") or "no file system could be read")
    causes = [_full(stack, filesystem) for filesystem in known if _is_full(filesystem)]
    causes += [_low(stack, filesystem) for filesystem in known if not _is_full(filesystem) and _is_low(filesystem)]
    causes += _said_full(stack, {name for cause in causes for name in cause.affects})
    least = min(known, key=lambda it: it.free_bytes / it.total_bytes if it.total_bytes else 1)
    return Outcome(f"least free space: {_size(least.free_bytes)} on {least.owner}, {least.path}", tuple(causes))


def _is_full(filesystem: Filesystem) -> bool:
    if not filesystem.total_bytes:
        return False
    if filesystem.free_inodes == 0:
        return True
    if filesystem.total_bytes < _SMALL_BYTES:
        return filesystem.free_bytes < _FULL_SMALL_SHARE * filesystem.total_bytes
    return filesystem.free_bytes < min(_FULL_SHARE * filesystem.total_bytes, _FULL_BYTES)


def _is_low(filesystem: Filesystem) -> bool:
    least = min(_LOW_SHARE * filesystem.total_bytes, _LOW_BYTES)
    return filesystem.total_bytes >= _SMALL_BYTES and filesystem.free_bytes < least


def _full(stack: Stack, filesystem: Filesystem) -> FoundCause:
    container = stack.named(filesystem.owner)
    is_volume = container is not None and any(mount.target == filesystem.path for mount in container.mounts)
    fix = "machine" if container is None else "volume" if is_volume else "tmpfs"
    no_inode = filesystem.free_inodes == 0 and filesystem.free_bytes > 0
    return _disk_full(stack, filesystem, "no free inode" if no_inode else _room(filesystem), "free space", fix)


def _low(stack: Stack, filesystem: Filesystem) -> FoundCause:
    return _disk_full(stack, filesystem, _room(filesystem), "more than 2 % free", "machine", Severity.WARN)


def _room(filesystem: Filesystem) -> str:
    return f"{_size(filesystem.free_bytes)} free of {_size(filesystem.total_bytes)}"


def _disk_full(
    stack: Stack, filesystem: Filesystem, room: str, wanted: str, fix: str, severity: Severity = Severity.ERROR
) -> FoundCause:
    owner, path = filesystem.owner, filesystem.path
    evidence = (stack.observed(f"free space on {owner}: {path}", room, wanted),)
    values = {"owner": owner, "path": path, "use": filesystem.use or "the files that are written there"}
    return FoundCause("disk-full", evidence, (owner, path), values, fix, severity=severity)


def _said_full(stack: Stack, known: set[str]) -> Iterator[FoundCause]:
    """Yield full disks that only a log or the monitor reports, because nobody could read the file system itself."""
    for our in stack.ours:
        sign = log_signs.latest(our, "disk-full")
        if sign and our.name not in known and (sign.at is None or stack.evidence.at - sign.at < RECENT):
            values = {"owner": our.name, "path": "one of its file systems", "use": "its files"}
            yield FoundCause("disk-full", (log_signs.quote(our, sign),), (our,), values, "volume")
    monitor = stack.evidence.monitor
    for text in monitor.problems if monitor else ():
        if "space" in text.lower() and "monitor" not in known:
            evidence = stack.observed("problem that the monitor reports", text, "a ledger that can be written")
            values = {"owner": "the monitor", "path": "its volume", "use": "the ledger"}
            yield FoundCause("disk-full", (evidence,), ("the monitor",), values, "volume")


def _size(count: int) -> str:
    return size(count, 1) if count >= MIB else f"{count / 1024:.0f} KiB"


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory(stack: Stack) -> Outcome:
    """Check whether the memory limits add up to more than Docker has, and whether memory is short already."""
    total = stack.evidence.engine.memory_bytes or stack.evidence.host.memory_total_bytes
    available = stack.evidence.host.memory_available_bytes
    limited = [
        locust for locust in stack.locusts if locust.memory_limit_bytes and locust.state in ("running", "paused")
    ]
    limits = [locust.memory_limit_bytes or 0 for locust in limited]
    if not total:
        return cannot_tell("the total memory of the machine is unknown")
    promised, whole, left = _size(sum(limits)), _size(total), _size(available)
    text = f"memory limits add up to {promised} of {whole}; {left} available"
    if sum(limits) <= total:
        return Outcome(text)
    is_near = available < _NEAR_SHARE * total
    severity = Severity.ERROR if is_near else Severity.WARN if max(limits) > total else Severity.INFO
    evidence = (
        stack.observed(
            f"sum of the memory limits of {plural(len(limited), 'container')}",
            promised,
            f"at most the {whole} of this machine",
        ),
        FindingEvidence("memory available on this machine", left, f"more than {_size(int(_NEAR_SHARE * total))}"),
    )
    share = max(1, int(total * 0.8) // max(1, len(limited)))
    values = {"limits": promised, "total": whole, "available": left}
    up = dict.fromkeys(("WORKER_MEMORY", "MASTER_MEMORY"), f"{max(64, share // MIB)}m")
    return Outcome(text, (FoundCause("memory-overcommitted", evidence, limited, values, severity=severity, up=up),))


# ---- ports -----------------------------------------------------------------------------------------------------------


def web_port(stack: Stack) -> Outcome:
    """Check whether the stack has its published ports, or can take them."""
    ports = stack.evidence.host.ports
    if not ports:
        return cannot_tell(stack.gap("ports") or "the ports were not checked")
    causes = [_taken(stack, port) for port in ports if _is_taken(stack, port)]
    causes += _refused_inside(stack)
    text = ", ".join(
        f"{port.port} {'free' if port.free else 'in use by ' + (port.container or port.holder)}" for port in ports
    )
    return Outcome(text, tuple(causes))


def _role_at(port: PortFacts) -> str:
    return MASTER if port.setting == "WEB_PORT" else MONITOR


def _is_taken(stack: Stack, port: PortFacts) -> bool:
    """Return whether another program holds a port that our container needs."""
    if port.free or (port.project and port.project == stack.evidence.project):
        return False
    return not any(container.state == "running" and container.published for container in stack.of(_role_at(port)))


def _taken(stack: Stack, port: PortFacts) -> FoundCause:
    evidence = [stack.observed(f"127.0.0.1:{port.port} ({port.setting})", f"in use by {port.holder}", "free")]
    evidence += [
        FindingEvidence(f"start of {container.name}", container.error, "no error")
        for container in stack.of(_role_at(port))
        if "port is already allocated" in container.error or "address already in use" in container.error
    ]
    other = port.port + 100 if port.port + 100 < 65536 else port.port - 100  # noqa: PLR2004  the end of TCP's ports
    values = {"port": str(port.port), "setting": port.setting, "holder": port.holder}
    return FoundCause("port-in-use", evidence, (values["port"], port.holder), values, up={port.setting: str(other)})


def _refused_inside(stack: Stack) -> Iterator[FoundCause]:
    """Yield the masters whose own port was in use, as happens to two masters in the host's network."""
    for master in stack.of(MASTER):
        sign = log_signs.latest(master, "bind-busy", "web-busy")
        if sign and (master.state != "running" or master.restarts):
            evidence = log_signs.quote(master, sign, "a free port")
            holder = "another process in the same network"
            values = {"port": "of the master", "setting": "the master", "holder": holder}
            yield FoundCause("port-in-use", (evidence,), (master,), values, "inside")


RULES = (
    Rule("engine", LAYER, engine),
    Rule("disk", LAYER, disk),
    Rule("memory", LAYER, memory),
    Rule("web-port", LAYER, web_port, after=without_engine),
)
