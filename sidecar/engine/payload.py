"""The engine's JSON, read into observations. Pure.

What the recorded payloads teach: a stopped container answers stats with 200 and empty bodies, host networking has no
`networks`, the block I/O list may be null and writes its verbs in upper case under cgroup v1, and a counter that has
no limit says 2^64-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.common.text import clean
from sidecar.common.times import docker_time
from sidecar.engine.fields import (
    LARGEST,
    Payload,
    full_id,
    label,
    maybe_whole,
    record,
    records,
    text,
    whole,
)
from sidecar.engine.identity import identity, is_helper
from sidecar.model.observation import Inspected, Listed, NetworkInterface, StatsReading

_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")
_ENDED = frozenset({"exited", "dead", "restarting"})  # the states in which the last exit code is this state's cause
_NANO_CPUS_PER_PERCENT = 10_000_000
_UNLIMITED = 1 << 62  # cgroup v1 writes "no limit" as a number close to 2^63, v2 as one close to 2^64


def listed(entries: Iterable[Payload]) -> tuple[Listed, ...]:
    """Read `GET /containers/json`, without one-off containers and the kit's own helpers.

    Raises:
        OddAnswerError: a container without an id. Whatever else is odd in a list costs that one container its name.

    """
    read = ((entry, labels_of(entry.get("Labels"))) for entry in entries)
    return tuple(_listed(entry, labels) for entry, labels in read if not is_helper(labels))


def labels_of(value: object) -> Payload:
    """Return the labels of a container; none where they are no object."""
    return value if isinstance(value, dict) else {}


def first_name(entry: Payload) -> str:
    """Return the first name of a list's entry, as it is; the short id where it has none."""
    names = entry.get("Names")
    name = names[0] if isinstance(names, list) and names else None
    return name if isinstance(name, str) and name else full_id(entry.get("Id"))[:12]


def _listed(entry: Payload, labels: Payload) -> Listed:
    health = _HEALTH.search(label(entry, "Status"))
    whose = identity(first_name(entry), labels)
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
        OddAnswerError: it is not what Docker answers.

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
    """Read the memory limit in bytes from an inspect's HostConfig; None without one."""
    limit = whole(host.get("Memory"), "Memory", least=-LARGEST)
    return limit if limit > 0 else None


def _cpu_limit_percent(host: Payload) -> float | None:
    if nano := whole(host.get("NanoCpus"), "NanoCpus"):
        return float(nano / _NANO_CPUS_PER_PERCENT)
    quota = whole(host.get("CpuQuota"), "CpuQuota", least=-LARGEST)
    return float(quota / (whole(host.get("CpuPeriod"), "CpuPeriod") or 100_000) * 100) if quota > 0 else None


def counters(payload: Payload) -> StatsReading | None:
    """Read `GET /containers/{id}/stats`; None when the container does not run.

    Raises:
        OddAnswerError: it is not what Docker answers.

    """
    read_at = docker_time(payload.get("read"))
    memory, cpu = record(payload.get("memory_stats"), "memory_stats"), record(payload.get("cpu_stats"), "cpu_stats")
    used = maybe_whole(memory.get("usage"), "memory usage")
    if read_at is None or used is None:
        return None
    usage = record(cpu.get("cpu_usage"), "cpu_usage")
    throttling = record(cpu.get("throttling_data"), "throttling_data")
    cards = tuple(_card(name, card) for name, card in record(payload.get("networks"), "networks").items())
    kept = record(memory.get("stats"), "memory stats")
    disks = record(payload.get("blkio_stats"), "blkio_stats")
    block = records(disks.get("io_service_bytes_recursive"), "io_service_bytes_recursive")
    return StatsReading(
        read_at=read_at,
        cpu_total_ns=whole(usage.get("total_usage"), "total_usage"),
        system_cpu_ns=maybe_whole(cpu.get("system_cpu_usage"), "system_cpu_usage"),
        online_cpus=whole(cpu.get("online_cpus"), "online_cpus") or _length(usage.get("percpu_usage")) or 1,
        cpu_periods=whole(throttling.get("periods"), "periods"),
        cpu_throttled_periods=whole(throttling.get("throttled_periods"), "throttled_periods"),
        memory_usage_bytes=used,
        memory_reclaimable_bytes=_reclaimable(kept),
        memory_limit_bytes=_bounded(maybe_whole(memory.get("limit"), "memory limit")),
        network_rx_bytes=sum(card.rx_bytes for card in cards),
        network_tx_bytes=sum(card.tx_bytes for card in cards),
        block_read_bytes=_block_bytes(block, "r"),
        block_write_bytes=_block_bytes(block, "w"),
        pids=maybe_whole(record(payload.get("pids_stats"), "pids_stats").get("current"), "pids"),
        cpu_throttled_ns=whole(throttling.get("throttled_time"), "throttled_time"),
        # The first name of each is cgroup v1's, where the total_ ones count child groups too.
        memory_rss_bytes=whole(kept.get("total_rss", kept.get("anon")), "memory rss"),
        memory_cache_bytes=whole(kept.get("total_cache", kept.get("file")), "memory cache"),
        cards=cards,
    )


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _card(name: str, value: object) -> NetworkInterface:
    card = record(value, "a network")
    return NetworkInterface(
        name=clean(name),
        rx_bytes=whole(card.get("rx_bytes"), "rx_bytes"),
        rx_packets=whole(card.get("rx_packets"), "rx_packets"),
        rx_errors=whole(card.get("rx_errors"), "rx_errors"),
        tx_bytes=whole(card.get("tx_bytes"), "tx_bytes"),
        tx_packets=whole(card.get("tx_packets"), "tx_packets"),
        tx_errors=whole(card.get("tx_errors"), "tx_errors"),
    )


def _reclaimable(stats: Payload) -> int:
    # total_inactive_file exists under cgroup v1 only; v1 also has an inactive_file, which leaves out child groups.
    return whole(stats.get("total_inactive_file", stats.get("inactive_file")), "inactive_file")


def _bounded(limit: int | None) -> int:
    return 0 if limit is None or limit >= _UNLIMITED else limit


def _block_bytes(entries: Iterable[Payload], verb: str) -> int:
    return sum(whole(entry.get("value"), "block I/O") for entry in entries if label(entry, "op")[:1].lower() == verb)
