"""Reads the engine's lists and inspects into observations: a container's owner, state and exit. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.common.text import clean
from sidecar.common.times import docker_nanos, docker_time
from sidecar.engine.fields import LARGEST, Payload, full_id, label, maybe_whole, record, text, whole
from sidecar.engine.labels import is_helper, owner
from sidecar.model.observation import Inspected, Listed
from sidecar.model.signal import Inspection, Owner

_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")
_ENDED = frozenset({"exited", "dead", "restarting"})  # in these states the last exit code explains the state
_NANO_CPUS_PER_PERCENT = 10_000_000


def listed(entries: Iterable[Payload]) -> tuple[Listed, ...]:
    """Read `GET /containers/json`, without one-off containers and the kit's own helpers.

    Raises:
        OddAnswerError: a container without an id. Any other invalid field only costs that container its name.

    """
    read = ((entry, labels_of(entry.get("Labels"))) for entry in entries)
    return tuple(_listed(entry, labels) for entry, labels in read if not is_helper(labels))


def labels_of(value: object) -> Payload:
    """Return the labels of a container; empty if they are not an object."""
    return value if isinstance(value, dict) else {}


def first_name(entry: Payload) -> str:
    """Return the first name of a list's entry, as it is; the short id if it has no name."""
    names = entry.get("Names")
    name = names[0] if isinstance(names, list) and names else None
    return name if isinstance(name, str) and name else full_id(entry.get("Id"))[:12]


def _listed(entry: Payload, labels: Payload) -> Listed:
    health = _HEALTH.search(label(entry, "Status"))
    whose = owner(first_name(entry), labels)
    return Listed(
        id=full_id(entry.get("Id")),
        name=whose.name,
        service=whose.service or "?",
        index=whose.index or 1,
        state=clean(label(entry, "State")) or "unknown",
        health=health[1] if health else None,
        project=whose.project,
        image=clean(label(entry, "Image")),
    )


def inspected(payload: Payload) -> Inspected:
    """Read `GET /containers/{id}/json`.

    Raises:
        OddAnswerError: it is not in the form that Docker documents.

    """
    state, host = record(payload.get("State"), "State"), record(payload.get("HostConfig"), "HostConfig")
    config = record(payload.get("Config"), "Config")
    return Inspected(
        hostname=clean(text(config.get("Hostname"), "Hostname")),
        started_at=docker_time(state.get("StartedAt")),
        exit_code=exit_code(state) if state.get("Status") in _ENDED else None,
        restarts=whole(payload.get("RestartCount"), "RestartCount"),
        memory_limit_bytes=memory_limit(host),
        cpu_limit_percent=_cpu_limit_percent(host),
        tty=config.get("Tty") is True,
    )


def exit_code(state: Payload) -> int | None:
    """Read the exit code in an inspect's State."""
    return maybe_whole(state.get("ExitCode"), "ExitCode", least=-(1 << 31))


def memory_limit(host: Payload) -> int | None:
    """Read the memory limit in bytes from an inspect's HostConfig; None without a limit."""
    limit = whole(host.get("Memory"), "Memory", least=-LARGEST)
    return limit if limit > 0 else None


def _cpu_limit_percent(host: Payload) -> float | None:
    if nano := whole(host.get("NanoCpus"), "NanoCpus"):
        return float(nano / _NANO_CPUS_PER_PERCENT)
    quota = whole(host.get("CpuQuota"), "CpuQuota", least=-LARGEST)
    return float(quota / (whole(host.get("CpuPeriod"), "CpuPeriod") or 100_000) * 100) if quota > 0 else None


def inspection(payload: Payload, at_ns: int) -> Inspection:
    """Read `GET /containers/{id}/json`, answered at `at_ns`.

    Raises:
        OddAnswerError: it is not in the form that Docker documents.

    """
    state, host = record(payload.get("State"), "State"), record(payload.get("HostConfig"), "HostConfig")
    status = clean(text(state.get("Status"), "Status")) or "unknown"
    finished_ns = docker_nanos(state.get("FinishedAt"))
    labels = labels_of(record(payload.get("Config"), "Config").get("Labels"))
    return Inspection(
        at_ns=at_ns,
        container_id=full_id(payload.get("Id")),
        owner=owner(text(payload.get("Name"), "Name"), labels),
        state=status,
        started_ns=docker_nanos(state.get("StartedAt")),
        finished_ns=finished_ns,
        # A running container still shows the time of its last exit, and 0 as its exit code.
        exit_code=exit_code(state) if finished_ns and status not in ("running", "paused") else None,
        oom_killed=state.get("OOMKilled") is True,
        restarts=whole(payload.get("RestartCount"), "RestartCount"),
        memory_limit_bytes=memory_limit(host),
    )


def owners(entries: Iterable[Payload]) -> tuple[tuple[str, Owner], ...]:
    """Read `GET /containers/json` of the whole engine: the full id and the owner of each container.

    Raises:
        OddAnswerError: a container without an id.

    """
    return tuple(
        (full_id(entry.get("Id")), owner(first_name(entry), labels_of(entry.get("Labels")))) for entry in entries
    )
