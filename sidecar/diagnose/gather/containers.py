"""The stack's containers as the engine knows them: inspect, log, counters; and their neighbours in the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sidecar.common.errors import EngineError
from sidecar.common.text import clean
from sidecar.common.times import docker_time
from sidecar.diagnose.evidence import Attachment, ContainerFacts, GatheredLogLine, Mount, Pair
from sidecar.diagnose.gather.later import Deadline, each
from sidecar.engine import log_lines, stats
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.fields import OddAnswerError
from sidecar.engine.labels import NUMBER_LABEL, PROJECT_LABEL, SERVICE_LABEL, is_helper
from sidecar.engine.transport import RefusedError
from sidecar.model.observation import StatsReading

MASTER_LINES, WORKER_LINES = 400, 120
_CALL_SECONDS = 5.0
_NANO_CPUS = 1e9
_NEIGHBOURS = 40

Row = Mapping[str, Any]


def rows(engine: DockerEngine) -> list[Row]:
    """Every container of the engine, as it lists them."""
    return list(engine.rows())


def labels_of(row: Row) -> Mapping[str, str]:
    """A list row's labels."""
    return row.get("Labels") or {}


def is_ours(row: Row, project: str) -> bool:
    """Whether a container is one of the project's, however it was started; not those that only share an image."""
    labels = labels_of(row)
    return labels.get(PROJECT_LABEL) == project and NUMBER_LABEL in labels


def networks_in_use(listed: Sequence[Row]) -> frozenset[str]:
    """The ids of the networks in which a container runs."""
    running = (row for row in listed if row.get("State") in ("running", "paused", "restarting"))
    return frozenset(
        str(Network.get("NetworkID", ""))
        for row in running
        for Network in ((row.get("NetworkSettings") or {}).get("Networks") or {}).values()
    )


def inspect_all(
    engine: DockerEngine, wanted: Sequence[Row], project: str, deadline: Deadline
) -> list[ContainerFacts | str]:
    """The facts of each listed container, or why there are none."""

    def one(row: Row) -> ContainerFacts | None:
        try:
            inspected = engine.inspect(row["Id"], deadline.left(_CALL_SECONDS))
        except RefusedError:
            return None
        return facts(inspected, project) if inspected is not None else None

    found = each(one, wanted, deadline)
    return [
        (f"{_name(row)}: {outcome}" if isinstance(outcome, BaseException) else outcome)
        for row, outcome in zip(wanted, found, strict=True)
        if outcome is not None
    ]


def _name(row: Row) -> str:
    return str((row.get("Names") or ["/?"])[0]).lstrip("/")


def facts(found: Row, project: str) -> ContainerFacts:
    """Read one inspect. Pure."""
    state, host, config = (found.get(part) or {} for part in ("State", "HostConfig", "Config"))
    labels = config.get("Labels") or {}
    health = state.get("Health") or {}
    last = (health.get("Log") or [{}])[-1] or {}
    status = str(state.get("Status", ""))
    ended = status not in ("running", "paused")
    quota = int(host.get("CpuQuota") or 0)
    cpus = int(host.get("NanoCpus") or 0) / _NANO_CPUS or (quota / (int(host.get("CpuPeriod") or 0) or 100_000))
    nofile = next((Ulimit.get("Soft") for Ulimit in host.get("Ulimits") or [] if Ulimit.get("Name") == "nofile"), None)
    return ContainerFacts(
        id=str(found.get("Id", "")),
        name=str(found.get("Name", "")).lstrip("/"),
        service=str(labels.get(SERVICE_LABEL, "")),
        project=str(labels.get(PROJECT_LABEL, "")),
        index=int(labels.get(NUMBER_LABEL) or 0),
        neighbour=labels.get(PROJECT_LABEL) != project or NUMBER_LABEL not in labels,
        helper=is_helper(labels),
        image=str(config.get("Image", "")),
        image_id=str(found.get("Image", "")),
        state=status,
        exit_code=int(state.get("ExitCode") or 0) if ended and docker_time(state.get("FinishedAt")) else None,
        error=clean(str(state.get("Error") or "")),
        oom_killed=bool(state.get("OOMKilled")),
        health=str(health.get("Status", "")),
        health_output=clean(str(last.get("Output", ""))).strip()[:200],
        created_at=docker_time(found.get("Created")),
        started_at=docker_time(state.get("StartedAt")),
        finished_at=docker_time(state.get("FinishedAt")),
        restarts=int(found.get("RestartCount") or 0),
        restart_policy=str((host.get("RestartPolicy") or {}).get("Name", "")),
        hostname=str(config.get("Hostname", "")),
        environment=_pairs(config.get("Env") or []),
        command=tuple(str(word) for word in [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]),
        network_mode=str(host.get("NetworkMode", "")),
        networks=_attachments(found),
        extra_hosts=tuple(str(ExtraHost) for ExtraHost in host.get("ExtraHosts") or []),
        dns=tuple(str(one) for one in host.get("Dns") or []),
        published=_published(found),
        mounts=tuple(
            Mount(str(one.get("Type", "")), str(one.get("Source", "")), str(one.get("Destination", "")))
            for one in found.get("Mounts") or []
        ),
        log_driver=str((host.get("LogConfig") or {}).get("Type", "")),
        memory_limit_bytes=int(host.get("Memory") or 0),
        memory_swap_bytes=int(host.get("MemorySwap") or 0),
        cpu_limit=cpus or None,
        nofile=int(nofile) if nofile is not None else None,
        pid=int(state.get("Pid") or 0) or None,
    )


def _pairs(environment: Sequence[str]) -> tuple[Pair, ...]:
    return tuple(Pair(name, value) for name, _, value in (str(one).partition("=") for one in environment))


def _attachments(found: Row) -> tuple[Attachment, ...]:
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(
        Attachment(
            str(name),
            str(one.get("NetworkID", "")),
            str(one.get("IPAddress") or ""),
            tuple(dict.fromkeys(str(alias) for alias in [*(one.get("Aliases") or []), *(one.get("DNSNames") or [])])),
        )
        for name, one in networks.items()
    )


def _published(found: Row) -> tuple[str, ...]:
    ports = (found.get("NetworkSettings") or {}).get("Ports") or {}
    return tuple(
        f"{binding.get('HostIp', '')}:{binding.get('HostPort', '')}->{inner}"
        for inner, bindings in ports.items()
        for binding in bindings or []
    )


def neighbours(listed: Sequence[Row], project: str, networks: frozenset[str]) -> list[Row]:
    """The running containers that are not ours but share a network with ours: one of them may answer to our names."""
    found = [
        row
        for row in listed
        if not is_ours(row, project)
        and row.get("State") == "running"
        and any(
            str(Network.get("NetworkID", "")) in networks
            for Network in ((row.get("NetworkSettings") or {}).get("Networks") or {}).values()
        )
    ]
    return found[:_NEIGHBOURS]


def logs(
    engine: DockerEngine, container: ContainerFacts, lines: int, deadline: Deadline
) -> tuple[GatheredLogLine, ...]:
    """The end of a container's log.

    Raises:
        EngineError: its log driver keeps none that can be read, or the engine does not answer.

    """
    try:
        body = engine.log(container.id, lines, timestamps=True, seconds=deadline.left(_CALL_SECONDS))
    except RefusedError as error:
        raise EngineError(f"no log of {container.name}: status {error.status}") from error
    return tuple(GatheredLogLine(entry.text, entry.at) for entry in log_lines.log_entries(body, tty=False))


def processes(engine: DockerEngine, container: ContainerFacts, deadline: Deadline) -> tuple[str, ...] | None:
    """The command lines of a running container's processes; None when they cannot be listed."""
    try:
        rows = engine.processes(container.id, deadline.left(_CALL_SECONDS))
    except RefusedError:
        return None
    return None if rows is None else tuple(str(row[-1])[:200] for row in rows)


def counters(engine: DockerEngine, container: ContainerFacts, deadline: Deadline) -> StatsReading | None:
    """The counters of a running container; None when it does not run."""
    try:
        reading = engine.stats(container.id, deadline.left(_CALL_SECONDS))
        return stats.counters(reading) if reading is not None else None
    except (OddAnswerError, RefusedError):
        return None


def with_figures(container: ContainerFacts, before: StatsReading | None, now: StatsReading | None) -> ContainerFacts:
    """The container with what `docker stats` would print of it."""
    if now is None:
        return container
    made = stats.figures(before, now)
    return replace(
        container,
        cpu_percent=made.cpu_percent,
        throttled_percent=made.throttled_percent,
        memory_usage_bytes=made.memory_usage_bytes,
        memory_working_set_bytes=made.memory_working_set_bytes,
    )
