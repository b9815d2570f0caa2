"""Read facts from the engine: about itself, its networks, recent events and the stack's containers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sidecar.common.errors import EngineError, StackError
from sidecar.common.text import clean
from sidecar.common.times import docker_time, from_nanos
from sidecar.diagnose.evidence import (
    Attachment,
    ContainerEvent,
    ContainerFacts,
    EngineFacts,
    GatheredLogLine,
    Mount,
    Network,
    Pair,
    Pool,
)
from sidecar.diagnose.gather.later import Deadline, each
from sidecar.engine import log_lines, stats
from sidecar.engine.docker_engine import (
    DockerEngine,
    EngineAbsentError,
    EngineDeniedError,
    EngineSilentError,
    find_socket,
)
from sidecar.engine.fields import OddAnswerError
from sidecar.engine.labels import NUMBER_LABEL, PROJECT_LABEL, SERVICE_LABEL, is_helper
from sidecar.engine.transport import RefusedError
from sidecar.model.observation import StatsReading
from sidecar.stack.docker_command import printed

MASTER_LINES, WORKER_LINES = 400, 120
_CALL_SECONDS = 5.0
_NANO_CPUS = 1e9
_NEIGHBOURS = 40
_FIGURES = ("cpu_percent", "throttled_percent", "memory_usage_bytes", "memory_working_set_bytes")
_EVENTS_BACK = timedelta(minutes=30)
_ACTIONS = ("oom", "die", "kill", "stop", "start", "pause", "unpause", "restart", "destroy", "create", "update")

Row = Mapping[str, Any]


# ---- the engine itself -----------------------------------------------------------------------------------------------


def ask(environ: Mapping[str, str]) -> tuple[EngineFacts, DockerEngine | None]:
    """Ask the engine about itself. Return no client if it does not answer."""
    docker_host = environ.get("DOCKER_HOST", "")
    has_cli = shutil.which("docker", path=environ.get("PATH") or os.defpath) is not None

    def facts(status: str, socket: str, error: str) -> EngineFacts:
        return EngineFacts(status, socket, error, docker_host, has_cli)

    try:
        engine = DockerEngine(find_socket(environ))
    except EngineError as error:
        return facts("remote", docker_host or "docker context", error.what), None
    socket = str(engine.socket_path)
    try:
        version, info = engine.about(_CALL_SECONDS), engine.info(_CALL_SECONDS)
    except EngineDeniedError as error:
        return facts("denied", socket, error.what), None
    except EngineSilentError as error:
        return facts("hung", socket, error.what), None
    except EngineAbsentError as error:
        # The docker command is only a client. An engine is installed if its daemon is there.
        is_installed = has_cli and shutil.which("dockerd") is not None
        return facts("stopped" if is_installed else "absent", socket, error.what), None
    except (EngineError, ValueError) as error:
        return facts("broken", socket, str(error)), None
    return _read(facts("ok", socket, ""), version, info), engine


def _read(facts: EngineFacts, version: Row, info: Row) -> EngineFacts:
    warnings = [str(warning) for warning in info.get("Warnings") or []]
    if info.get("MemoryLimit") is False:
        warnings.append("No memory limit support")
    pools = info.get("DefaultAddressPools") or []
    return replace(
        facts,
        version=str(version.get("Version", "")),
        api_version=str(version.get("ApiVersion", "")),
        memory_bytes=int(info.get("MemTotal") or 0),
        root_dir=str(info.get("DockerRootDir") or ""),
        warnings=tuple(dict.fromkeys(warnings)),
        pools=tuple(Pool(str(pool.get("Base", "")), int(pool.get("Size") or 0)) for pool in pools),
        cgroup_version=str(info.get("CgroupVersion") or ""),
    )


def compose_version(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return (version, error) of `docker compose`."""
    try:
        version = printed(
            "compose", "version", "--short", what="docker compose version", seconds=_CALL_SECONDS, env=environ
        )
    except StackError as error:
        return "", error.what
    return version.strip().lstrip("v"), ""


def networks(engine: DockerEngine, used: frozenset[str]) -> tuple[Network, ...]:
    """Return all networks of the engine. `used` has the ids of networks with a running container."""
    return tuple(_network(row, used) for row in engine.networks())


def _network(row: Row, used: frozenset[str]) -> Network:
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
    """Return recent events of the project's containers, as far back as the engine keeps them."""
    filters = {"type": ["container"], "event": list(_ACTIONS), "label": [f"com.docker.compose.project={project}"]}
    since, until = (f"{moment.timestamp():.6f}" for moment in (now - _EVENTS_BACK, now))
    try:
        lines = engine.events(since, until, filters, _CALL_SECONDS)
    except RefusedError as error:
        raise EngineError(f"Docker gave no events: {error.reason}") from error
    events = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            events.append(_event(json.loads(line)))
    return tuple(events)


def _event(row: Row) -> ContainerEvent:
    actor = row.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    code = str(attributes.get("exitCode", ""))
    return ContainerEvent(
        at=from_nanos(int(row["timeNano"])),
        action=str(row["Action"]),
        container=str(attributes.get("name", "")),
        container_id=str(actor.get("ID", "")),
        signal=str(attributes.get("signal", "")),
        exit_code=int(code) if code.isdigit() else None,
    )


# ---- containers ------------------------------------------------------------------------------------------------------


def is_ours(row: Row, project: str) -> bool:
    """Return whether a container belongs to the project. A shared image alone does not count."""
    labels = row.get("Labels") or {}
    return labels.get(PROJECT_LABEL) == project and NUMBER_LABEL in labels


def networks_in_use(listed: Iterable[Row]) -> frozenset[str]:
    """Return the ids of the networks that have a running container."""
    running = (row for row in listed if row.get("State") in ("running", "paused", "restarting"))
    return frozenset(network for row in running for network in _network_ids(row))


def _network_ids(row: Row) -> list[str]:
    return [str(network.get("NetworkID", "")) for network in _part(row, "NetworkSettings", "Networks").values()]


def _part(row: Row, *names: str) -> Row:
    """Return a part of an answer; an empty one if the engine left it out or wrote null."""
    for name in names:
        row = row.get(name) or {}
    return row


def neighbours(listed: Iterable[Row], project: str, networks: frozenset[str]) -> list[Row]:
    """Return running containers of other projects in our networks. One of them may have one of our names."""
    others = [row for row in listed if row.get("State") == "running" and not is_ours(row, project)]
    return [row for row in others if not networks.isdisjoint(_network_ids(row))][:_NEIGHBOURS]


def inspect_all(
    engine: DockerEngine, wanted: Sequence[Row], project: str, deadline: Deadline
) -> list[ContainerFacts | str]:
    """Return the facts of each listed container, or the reason why they are missing."""

    def inspect(row: Row) -> ContainerFacts | None:
        try:
            inspected = engine.inspect(row["Id"], deadline.left(_CALL_SECONDS))
        except RefusedError:
            return None
        return facts(inspected, project) if inspected is not None else None

    outcomes = zip(wanted, each(inspect, wanted, deadline), strict=True)
    return [
        f"{str((row.get('Names') or ['/?'])[0]).lstrip('/')}: {outcome}"
        if isinstance(outcome, BaseException)
        else outcome
        for row, outcome in outcomes
        if outcome is not None
    ]


def facts(inspected: Row, project: str) -> ContainerFacts:
    """Read one inspect. Pure."""
    state, host, config = (_part(inspected, part) for part in ("State", "HostConfig", "Config"))
    labels, health = _part(config, "Labels"), _part(state, "Health")
    status, finished = str(state.get("Status", "")), docker_time(state.get("FinishedAt"))
    has_ended = status not in ("running", "paused") and finished is not None
    last_check = (health.get("Log") or [{}])[-1] or {}
    return ContainerFacts(
        id=str(inspected.get("Id", "")),
        name=str(inspected.get("Name", "")).lstrip("/"),
        service=str(labels.get(SERVICE_LABEL, "")),
        project=str(labels.get(PROJECT_LABEL, "")),
        index=int(labels.get(NUMBER_LABEL) or 0),
        neighbour=labels.get(PROJECT_LABEL) != project or NUMBER_LABEL not in labels,
        helper=is_helper(labels),
        image=str(config.get("Image", "")),
        image_id=str(inspected.get("Image", "")),
        state=status,
        exit_code=int(state.get("ExitCode") or 0) if has_ended else None,
        error=clean(str(state.get("Error") or "")),
        oom_killed=bool(state.get("OOMKilled")),
        health=str(health.get("Status", "")),
        health_output=clean(str(last_check.get("Output", ""))).strip()[:200],
        created_at=docker_time(inspected.get("Created")),
        started_at=docker_time(state.get("StartedAt")),
        finished_at=finished,
        restarts=int(inspected.get("RestartCount") or 0),
        restart_policy=str(_part(host, "RestartPolicy").get("Name", "")),
        hostname=str(config.get("Hostname", "")),
        environment=tuple(Pair(*str(line).partition("=")[::2]) for line in config.get("Env") or []),
        command=_texts([*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]),
        network_mode=str(host.get("NetworkMode", "")),
        networks=tuple(_attachment(*item) for item in _part(inspected, "NetworkSettings", "Networks").items()),
        extra_hosts=_texts(host.get("ExtraHosts") or []),
        dns=_texts(host.get("Dns") or []),
        published=_published(_part(inspected, "NetworkSettings", "Ports")),
        mounts=tuple(
            Mount(*_texts(row.get(key, "") for key in ("Type", "Source", "Destination")))
            for row in inspected.get("Mounts") or []
        ),
        log_driver=str(_part(host, "LogConfig").get("Type", "")),
        memory_limit_bytes=int(host.get("Memory") or 0),
        memory_swap_bytes=int(host.get("MemorySwap") or 0),
        cpu_limit=_cpu_limit(host),
        nofile=_nofile(host),
        pid=int(state.get("Pid") or 0) or None,
    )


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _attachment(name: str, row: Row) -> Attachment:
    aliases = _texts([*(row.get("Aliases") or []), *(row.get("DNSNames") or [])])
    address = str(row.get("IPAddress") or "")
    return Attachment(name, str(row.get("NetworkID", "")), address, tuple(dict.fromkeys(aliases)))


def _published(ports: Row) -> tuple[str, ...]:
    return tuple(
        f"{binding.get('HostIp', '')}:{binding.get('HostPort', '')}->{inner}"
        for inner, bindings in ports.items()
        for binding in bindings or []
    )


def _cpu_limit(host: Row) -> float | None:
    """Return the CPU limit in CPUs, in whichever way it was set; None without a limit."""
    quota, period = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or 0) or 100_000
    return int(host.get("NanoCpus") or 0) / _NANO_CPUS or quota / period or None


def _nofile(host: Row) -> int | None:
    limits = (limit.get("Soft") for limit in host.get("Ulimits") or [] if limit.get("Name") == "nofile")
    soft = next(limits, None)
    return None if soft is None else int(soft)


def logs(
    engine: DockerEngine, container: ContainerFacts, lines: int, deadline: Deadline
) -> tuple[GatheredLogLine, ...]:
    """Read the end of a container's log.

    Raises:
        EngineError: the log driver keeps no readable log, or the engine does not answer.

    """
    try:
        body = engine.log(container.id, lines, timestamps=True, seconds=deadline.left(_CALL_SECONDS))
    except RefusedError as error:
        raise EngineError(f"cannot read the log of {container.name}: status {error.status}") from error
    return tuple(GatheredLogLine(entry.text, entry.at) for entry in log_lines.log_entries(body, tty=False))


def processes(engine: DockerEngine, container: ContainerFacts, deadline: Deadline) -> tuple[str, ...] | None:
    """Return the command lines of a running container's processes; None if they cannot be listed."""
    try:
        rows = engine.processes(container.id, deadline.left(_CALL_SECONDS))
    except RefusedError:
        return None
    return None if rows is None else tuple(str(row[-1])[:200] for row in rows)


def counters(engine: DockerEngine, container: ContainerFacts, deadline: Deadline) -> StatsReading | None:
    """Read the counters of a running container; None if it is not running."""
    try:
        reading = engine.stats(container.id, deadline.left(_CALL_SECONDS))
        return stats.counters(reading) if reading is not None else None
    except (OddAnswerError, RefusedError):
        return None


def with_figures(
    containers: Iterable[ContainerFacts], before: Mapping[str, StatsReading], now: Mapping[str, StatsReading]
) -> list[ContainerFacts]:
    """Return the containers with the figures of `docker stats`. The readings are by container id."""
    return [_with_figures(container, before.get(container.id), now.get(container.id)) for container in containers]


def _with_figures(container: ContainerFacts, before: StatsReading | None, now: StatsReading | None) -> ContainerFacts:
    if now is None:
        return container
    figures = stats.figures(before, now)
    return replace(container, **{name: getattr(figures, name) for name in _FIGURES})
