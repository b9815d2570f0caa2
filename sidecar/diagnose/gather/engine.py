"""The engine itself: whether it answers, what it is, its networks, and what it did lately to our containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sidecar.common.errors import EngineError
from sidecar.common.times import from_nanos
from sidecar.diagnose.evidence import ContainerEvent, EngineFacts, Network, Pool
from sidecar.engine.docker_engine import (
    DockerEngine,
    EngineAbsentError,
    EngineDeniedError,
    EngineSilentError,
    find_socket,
)
from sidecar.engine.transport import RefusedError

_PATIENCE_SECONDS = 5.0
_COMMAND_SECONDS = 5.0
_EVENTS_BACK = timedelta(minutes=30)
_ACTIONS = ("oom", "die", "kill", "stop", "start", "pause", "unpause", "restart", "destroy", "create", "update")


def ask(environ: Mapping[str, str]) -> tuple[EngineFacts, DockerEngine | None]:
    """Ask the engine who it is; the door to it is None when nobody answers there."""
    docker_host = environ.get("DOCKER_HOST", "")
    cli = shutil.which("docker", path=environ.get("PATH") or os.defpath) is not None
    try:
        engine = DockerEngine(find_socket(environ))
    except EngineError as error:
        return EngineFacts("remote", docker_host or "docker context", error.what, docker_host, cli), None
    place = str(engine.socket_path)
    try:
        version = engine.about(_PATIENCE_SECONDS)
        info = engine.info(_PATIENCE_SECONDS)
    except EngineDeniedError as error:
        return EngineFacts("denied", place, error.what, docker_host, cli), None
    except EngineSilentError as error:
        return EngineFacts("hung", place, error.what, docker_host, cli), None
    except EngineAbsentError as error:
        return EngineFacts("stopped" if _installed(cli) else "absent", place, error.what, docker_host, cli), None
    except (EngineError, ValueError) as error:
        return EngineFacts("broken", place, str(error), docker_host, cli), None
    return _read(version, info, place, docker_host, cli=cli), engine


def _installed(cli: bool) -> bool:  # noqa: FBT001  one fact
    """Whether an engine is on this machine: a docker command alone is only a client."""
    return cli and shutil.which("dockerd") is not None


def _read(
    version: Mapping[str, Any], info: Mapping[str, Any], place: str, docker_host: str, *, cli: bool
) -> EngineFacts:
    warnings = [str(one) for one in info.get("Warnings") or []]
    if info.get("MemoryLimit") is False:
        warnings.append("No memory limit support")
    pools = info.get("DefaultAddressPools") or []
    return EngineFacts(
        "ok",
        place,
        "",
        docker_host,
        cli,
        version=str(version.get("Version", "")),
        api_version=str(version.get("ApiVersion", "")),
        memory_bytes=int(info.get("MemTotal") or 0),
        root_dir=str(info.get("DockerRootDir") or ""),
        warnings=tuple(dict.fromkeys(warnings)),
        pools=tuple(Pool(str(pool.get("Base", "")), int(pool.get("Size") or 0)) for pool in pools),
        cgroup_version=str(info.get("CgroupVersion") or ""),
    )


def compose_version(environ: Mapping[str, str]) -> tuple[str, str]:
    """(version, error) of `docker compose`."""
    try:
        done = subprocess.run(
            ["docker", "compose", "version", "--short"],
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env=dict(environ),
        )
    except FileNotFoundError:
        return "", "the docker command is not installed"
    except subprocess.TimeoutExpired:
        return "", f"`docker compose version` did not end within {_COMMAND_SECONDS:.0f} s"
    if done.returncode:
        return "", (done.stderr.strip().splitlines() or ["no reason given"])[0]
    return done.stdout.strip().lstrip("v"), ""


def networks(engine: DockerEngine, used: frozenset[str]) -> tuple[Network, ...]:
    """All networks of the engine; `used` holds the ids of those that a running container is in."""
    return tuple(_network(row, used) for row in engine.networks())


def _network(row: Mapping[str, Any], used: frozenset[str]) -> Network:
    options, labels = row.get("Options") or {}, row.get("Labels") or {}
    addresses = (row.get("IPAM") or {}).get("Config") or []
    network_id = str(row.get("Id", ""))
    name = str(row.get("Name", ""))
    return Network(
        id=network_id,
        name=name,
        driver=str(row.get("Driver", "")),
        subnets=tuple(str(address["Subnet"]) for address in addresses if address.get("Subnet")),
        gateways=tuple(str(address["Gateway"]) for address in addresses if address.get("Gateway")),
        project=str(labels.get("com.docker.compose.project", "")),
        internal=bool(row.get("Internal")),
        containers_talk=str(options.get("com.docker.network.bridge.enable_icc", "true")).lower() != "false",
        bridge=str(options.get("com.docker.network.bridge.name") or f"br-{network_id[:12]}"),
        in_use=network_id in used or name in ("bridge", "host", "none"),
    )


def events(engine: DockerEngine, project: str, now: datetime) -> tuple[ContainerEvent, ...]:
    """What happened to the project's containers lately, as far as the engine's short memory reaches."""
    filters = {"type": ["container"], "event": list(_ACTIONS), "label": [f"com.docker.compose.project={project}"]}
    since, until = (f"{moment.timestamp():.6f}" for moment in (now - _EVENTS_BACK, now))
    try:
        lines = engine.events(since, until, filters, _PATIENCE_SECONDS)
    except RefusedError as error:
        raise EngineError(f"Docker gave no events: {error.reason}") from error
    found = []
    for line in lines:
        try:
            found.append(_event(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def _event(row: Mapping[str, Any]) -> ContainerEvent:
    attributes = (row.get("Actor") or {}).get("Attributes") or {}
    code = str(attributes.get("exitCode", ""))
    return ContainerEvent(
        at=from_nanos(int(row["timeNano"])),
        action=str(row["Action"]),
        container=str(attributes.get("name", "")),
        container_id=str((row.get("Actor") or {}).get("ID", "")),
        signal=str(attributes.get("signal", "")),
        exit_code=int(code) if code.isdigit() else None,
    )
