"""The machine and its engine: Docker, disks, memory, ports. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.diagnose.evidence import Filesystem, PortFacts
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_engine
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.stack import MASTER, MONITOR, RECENT, Stack
from sidecar.engine.host_client import OLDEST_ENGINE
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "host"
OLDEST_COMPOSE = (2, 24)
_OLDEST_API = (1, 44)
_GIB, _MIB = 1 << 30, 1 << 20
_SMALL_BYTES = _GIB  # below this a file system is a tmpfs or a test's own, and only its share counts
_FULL_SHARE, _FULL_BYTES = 0.005, 256 * _MIB
_FULL_SMALL_SHARE = 0.02
_LOW_SHARE, _LOW_BYTES = 0.02, 5 * _GIB
_NEAR_SHARE = 0.10
_CONTAINER_HINT = "its own tmpfs is emptied by a restart"


# ---- engine ----------------------------------------------------------------------------------------------------------


def engine(stack: Stack) -> Outcome:
    """Whether Docker answers, may be used, and is new enough."""
    about = stack.evidence.engine
    if about.status == "denied":
        seen = FindingEvidence(
            "Docker's socket",
            f"{about.socket}: {stack.evidence.host.user} may not open it",
            "permission",
            stack.evidence.at,
        )
        values = {"socket": about.socket, "user": stack.evidence.host.user}
        return Outcome(seen.seen, (Found("docker-permission-denied", (seen,), (about.socket,), values),))
    if about.status != "ok":
        return Outcome(f"{about.socket}: {about.error}", (_unreachable(stack),))
    old = tuple(_too_old(stack))
    text = f"Engine {about.version}, API {about.api_version}, Compose {about.compose_version or '?'}"
    return Outcome(text, old)


def _unreachable(stack: Stack) -> Found:
    about = stack.evidence.engine
    states = {
        "absent": "Docker is not installed",
        "stopped": "Docker is installed, its engine does not run",
        "hung": "the engine took the question and gave no answer within 5 s",
        "remote": "the engine is on another machine",
        "broken": "what answers there is no Docker engine",
    }
    seen = [
        FindingEvidence(
            "Docker's socket",
            f"{about.socket}: {about.error or states[about.status]}",
            "an engine that answers",
            stack.evidence.at,
        )
    ]
    fix = {"hung": "hung", "remote": "elsewhere"}.get(about.status, "default")
    if about.docker_host:
        seen.append(
            FindingEvidence("DOCKER_HOST in this shell", about.docker_host, "unset, or the socket of a running engine")
        )
        fix = "elsewhere" if about.cli_installed else fix
    values = {"state": states[about.status], "docker_host": about.docker_host}
    return Found("docker-unreachable", tuple(seen), (about.socket,), values, fix)


def _too_old(stack: Stack) -> Iterator[Found]:
    about, at = stack.evidence.engine, stack.evidence.at
    major = re.match(r"\d+", about.version)
    if (major and int(major[0]) < OLDEST_ENGINE) or (about.api_version and _parts(about.api_version) < _OLDEST_API):
        seen = FindingEvidence(
            "Docker Engine", f"{about.version} (API {about.api_version})", f"{OLDEST_ENGINE} or newer (API 1.44)", at
        )
        yield Found("engine-too-old", (seen,), ("Docker Engine",), {"what": "Docker Engine", "version": about.version})
    if about.compose_error:
        seen = FindingEvidence("docker compose", about.compose_error, "version 2.24 or newer", at)
        yield Found(
            "engine-too-old", (seen,), ("Docker Compose",), {"what": "Docker Compose", "version": "missing"}, "compose"
        )
    elif about.compose_version and _parts(about.compose_version) < OLDEST_COMPOSE:
        seen = FindingEvidence("docker compose", about.compose_version, "version 2.24 or newer", at)
        yield Found(
            "engine-too-old", (seen,), ("Docker Compose",), {"what": "Docker Compose", "version": about.compose_version}
        )


def _parts(version: str) -> tuple[int, int]:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (9999, 0)


# ---- disk ------------------------------------------------------------------------------------------------------------


def disk(stack: Stack) -> Outcome:
    """Whether anything that we write to is full."""
    known = [*stack.evidence.host.filesystems]
    for probe in stack.evidence.probes:
        known += probe.inside.filesystems if probe.inside else ()
    if not known:
        return cannot_tell(stack.gap("host") or "no file system could be looked at")
    found = [_full(stack, one) for one in known if _is_full(one)]
    found += [_low(stack, one) for one in known if not _is_full(one) and _is_low(one)]
    found += _told_full(stack, {name for one in found for name in one.affects})
    least = min(known, key=lambda one: one.free_bytes / one.total_bytes if one.total_bytes else 1)
    return Outcome(f"least room: {least.owner} {least.path}, {_size(least.free_bytes)} free", tuple(found))


def _is_full(filesystem: Filesystem) -> bool:
    if not filesystem.total_bytes:
        return False
    if filesystem.free_inodes == 0:
        return True
    if filesystem.total_bytes < _SMALL_BYTES:
        return filesystem.free_bytes < _FULL_SMALL_SHARE * filesystem.total_bytes
    return filesystem.free_bytes < min(_FULL_SHARE * filesystem.total_bytes, _FULL_BYTES)


def _is_low(filesystem: Filesystem) -> bool:
    return filesystem.total_bytes >= _SMALL_BYTES and filesystem.free_bytes < min(
        _LOW_SHARE * filesystem.total_bytes, _LOW_BYTES
    )


def _full(stack: Stack, filesystem: Filesystem) -> Found:
    inodes = filesystem.free_inodes == 0 and filesystem.free_bytes > 0
    seen = FindingEvidence(
        f"{filesystem.owner}: {filesystem.path}",
        "no inode free" if inodes else f"{_size(filesystem.free_bytes)} free of {_size(filesystem.total_bytes)}",
        "room to write",
        stack.evidence.at,
    )
    values = {"owner": filesystem.owner, "path": filesystem.path, "use": filesystem.use or "what is written there"}
    container = stack.named(filesystem.owner)
    if container is None:
        return Found("disk-full", (seen,), (filesystem.owner, filesystem.path), values, "machine")
    is_tmpfs = all(mount.target != filesystem.path for mount in container.mounts)
    return Found("disk-full", (seen,), (filesystem.owner, filesystem.path), values, "tmpfs" if is_tmpfs else "volume")


def _low(stack: Stack, filesystem: Filesystem) -> Found:
    seen = FindingEvidence(
        f"{filesystem.owner}: {filesystem.path}",
        f"{_size(filesystem.free_bytes)} free of {_size(filesystem.total_bytes)}",
        "more than 2 %",
        stack.evidence.at,
    )
    values = {"owner": filesystem.owner, "path": filesystem.path, "use": filesystem.use or "what is written there"}
    return Found("disk-full", (seen,), (filesystem.owner, filesystem.path), values, "machine", severity=Severity.WARN)


def _told_full(stack: Stack, known: set[str]) -> Iterator[Found]:
    """Who said that a disk is full, where nobody could look: a container's log, the sidecar."""
    for our in stack.ours:
        sign = log_signs.last(log_signs.current_log(our), "disk-full")
        if sign and our.name not in known and (sign.at is None or stack.evidence.at - sign.at < RECENT):
            seen = FindingEvidence(f"log of {our.name}", sign.text, "no such line", sign.at)
            values = {"owner": our.name, "path": "a file system of its", "use": "what it writes"}
            yield Found("disk-full", (seen,), (our.name,), values, "volume")
    monitor = stack.evidence.monitor
    for text in monitor.troubles if monitor else ():
        if "space" in text.lower() and "monitor" not in known:
            seen = FindingEvidence("the sidecar", text, "a ledger that is written", stack.evidence.at)
            values = {"owner": "the sidecar", "path": "its volume", "use": "the ledger"}
            yield Found("disk-full", (seen,), ("the sidecar",), values, "volume")


def _size(count: int) -> str:
    if count >= _GIB:
        return f"{count / _GIB:.1f} GiB"
    return f"{count / _MIB:.1f} MiB" if count >= _MIB else f"{count / 1024:.0f} KiB"


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory(stack: Stack) -> Outcome:
    """Whether the memory limits promise more than Docker has, and whether that hurts yet."""
    total = stack.evidence.engine.memory_bytes or stack.evidence.host.memory_total_bytes
    available = stack.evidence.host.memory_available_bytes
    limited = [
        locust for locust in stack.locusts if locust.memory_limit_bytes and locust.state in ("running", "paused")
    ]
    limits = sum(one.memory_limit_bytes or 0 for one in limited)
    if not total:
        return cannot_tell("nobody says how much memory there is")
    text = f"limits {_size(limits)} of {_size(total)}, {_size(available)} available"
    largest = max((one.memory_limit_bytes or 0 for one in limited), default=0)
    if limits <= total:
        return Outcome(text)
    near = available < _NEAR_SHARE * total
    severity = Severity.ERROR if near else Severity.WARN if largest > total else Severity.INFO
    seen = (
        FindingEvidence(
            f"memory limits of {len(limited)} containers",
            _size(limits),
            f"at most {_size(total)}, which Docker has",
            stack.evidence.at,
        ),
        FindingEvidence(
            "memory available on this machine", _size(available), f"more than {_size(int(_NEAR_SHARE * total))}"
        ),
    )
    fewer = max(1, int(total * 0.8) // max(1, len(limited)))
    values = {"limits": _size(limits), "total": _size(total), "available": _size(available)}
    names = tuple(one.name for one in limited)
    up = {"WORKER_MEMORY": f"{max(64, fewer // _MIB)}m", "MASTER_MEMORY": f"{max(64, fewer // _MIB)}m"}
    return Outcome(text, (Found("memory-overcommitted", seen, names, values, severity=severity, up=up),))


# ---- ports -----------------------------------------------------------------------------------------------------------


def web_port(stack: Stack) -> Outcome:
    """Whether the ports that the stack publishes are its own, or free for it."""
    ports = stack.evidence.host.ports
    if not ports:
        return cannot_tell(stack.gap("ports") or "the ports were not looked at")
    found = [_taken(stack, port) for port in ports if _is_taken(stack, port)]
    found += _refused_inside(stack)
    text = ", ".join(
        f"{port.port} {'free' if port.free else 'held by ' + (port.container or port.holder)}" for port in ports
    )
    return Outcome(text, tuple(found))


def _is_taken(stack: Stack, port_facts: PortFacts) -> bool:
    """Held by somebody else, while the container of ours that wants it does not have it."""
    if port_facts.free or (port_facts.project and port_facts.project == stack.evidence.project):
        return False
    role = MASTER if port_facts.setting == "WEB_PORT" else MONITOR
    return not any(container.state == "running" and container.published for container in stack.of(role))


def _taken(stack: Stack, port_facts: PortFacts) -> Found:
    seen = [
        FindingEvidence(
            f"port {port_facts.port} of 127.0.0.1 ({port_facts.setting})",
            f"held by {port_facts.holder}",
            "free",
            stack.evidence.at,
        )
    ]
    role = MASTER if port_facts.setting == "WEB_PORT" else MONITOR
    seen += [
        FindingEvidence(f"start of {container.name}", container.error, "no error")
        for container in stack.of(role)
        if "port is already allocated" in container.error or "address already in use" in container.error
    ]
    other = port_facts.port + 100 if port_facts.port + 100 < 65536 else port_facts.port - 100  # noqa: PLR2004  the end of TCP's ports
    values = {"port": str(port_facts.port), "setting": port_facts.setting, "holder": port_facts.holder}
    return Found(
        "port-in-use",
        tuple(seen),
        (str(port_facts.port), port_facts.holder),
        values,
        up={port_facts.setting: str(other)},
    )


def _refused_inside(stack: Stack) -> Iterator[Found]:
    """A master that found its own port taken, as two in the host's network do."""
    for one in stack.of(MASTER):
        sign = log_signs.last(log_signs.current_log(one), "bind-busy", "web-busy")
        if sign is None or (one.state == "running" and not one.restarts):
            continue
        seen = FindingEvidence(f"log of {one.name}", sign.text, "a port of its own", sign.at)
        values = {"port": "its port", "setting": "the master's port", "holder": "another process in the same network"}
        yield Found("port-in-use", (seen,), (one.name,), values, "inside")


RULES = (
    Rule("engine", LAYER, engine),
    Rule("disk", LAYER, disk),
    Rule("memory", LAYER, memory),
    Rule("web-port", LAYER, web_port, after=without_engine),
)
