"""A container's counters in the engine's form, and the formulas of `docker stats`. Pure.

The recorded payloads show four special cases. A stopped container answers with status 200 and empty bodies. Host
networking has no `networks`. The block I/O list may be null, and under cgroup v1 it has its verbs in upper case. A
counter without a limit is 2^64-1.

A one-shot reading has no earlier sample, so rates come from two readings in a row. The caller keys readings by
(container, StartedAt). If a counter runs backwards all the same, the container has restarted and the monitor does not
know it yet. Then there is no rate, because it would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from sidecar.common.records import shared
from sidecar.common.text import clean
from sidecar.common.times import docker_time
from sidecar.engine.fields import Payload, label, maybe_whole, record, records, whole
from sidecar.model.observation import NetworkInterface, Stats, StatsReading

_INTERFACE_COUNTERS = tuple(field.name for field in fields(NetworkInterface))[1:]  # by Docker's own names
_UNLIMITED = 1 << 62  # cgroup v1 writes "no limit" as a number near 2^63, v2 as one near 2^64


def figures(before: StatsReading | None, now: StatsReading) -> Stats:
    """Calculate the figures of one container from its latest reading and the one before, if there is one."""
    working_set = now.memory_working_set_bytes
    limit = now.memory_limit_bytes
    return Stats(
        **shared(now, Stats),
        sampled_at=now.read_at,
        cpu_percent=_cpu_percent(before, now) if before else None,
        throttled_percent=_throttled_percent(before, now) if before else None,
        memory_working_set_bytes=working_set,
        memory_percent=working_set / limit * 100 if limit else None,
    )


def restarted(before: StatsReading, now: StatsReading) -> bool:
    """Return whether the CPU counter ran backwards: a new process tree counts from zero."""
    return now.cpu_total_ns < before.cpu_total_ns


def _cpu_percent(before: StatsReading, now: StatsReading) -> float | None:
    """Return the CPU share: 100 is one core, 0 is idle; None if the two readings give no answer."""
    if before.system_cpu_ns is None or now.system_cpu_ns is None:
        return None
    system_ns = now.system_cpu_ns - before.system_cpu_ns
    container_ns = now.cpu_total_ns - before.cpu_total_ns
    if system_ns <= 0 or container_ns < 0:
        return None
    return container_ns / system_ns * now.online_cpus * 100


def _throttled_percent(before: StatsReading, now: StatsReading) -> float | None:
    """Return the share of the scheduler's periods in which the container was throttled; None without a quota."""
    periods = now.cpu_periods - before.cpu_periods
    throttled = now.cpu_throttled_periods - before.cpu_throttled_periods
    if periods < 0 or throttled < 0 or now.cpu_periods == 0:
        return None
    return throttled / periods * 100 if periods else 0.0


def counters(payload: Payload) -> StatsReading | None:
    """Read `GET /containers/{id}/stats`; None if the container does not run.

    Raises:
        OddAnswerError: it is not in the form that Docker documents.

    """
    read_at = docker_time(payload.get("read"))
    memory, cpu = record(payload.get("memory_stats"), "memory_stats"), record(payload.get("cpu_stats"), "cpu_stats")
    used = maybe_whole(memory.get("usage"), "memory usage")
    if read_at is None or used is None:
        return None
    usage = record(cpu.get("cpu_usage"), "cpu_usage")
    throttling = record(cpu.get("throttling_data"), "throttling_data")
    networks = record(payload.get("networks"), "networks")
    interfaces = tuple(_interface(name, interface) for name, interface in networks.items())
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
        # The first name is cgroup v1's, where the total_ ones count child groups too.
        memory_reclaimable_bytes=whole(kept.get("total_inactive_file", kept.get("inactive_file")), "inactive_file"),
        memory_limit_bytes=_bounded(maybe_whole(memory.get("limit"), "memory limit")),
        network_rx_bytes=sum(interface.rx_bytes for interface in interfaces),
        network_tx_bytes=sum(interface.tx_bytes for interface in interfaces),
        block_read_bytes=_block_bytes(block, "r"),
        block_write_bytes=_block_bytes(block, "w"),
        pids=maybe_whole(record(payload.get("pids_stats"), "pids_stats").get("current"), "pids"),
        cpu_throttled_ns=whole(throttling.get("throttled_time"), "throttled_time"),
        memory_rss_bytes=whole(kept.get("total_rss", kept.get("anon")), "memory rss"),
        memory_cache_bytes=whole(kept.get("total_cache", kept.get("file")), "memory cache"),
        interfaces=interfaces,
    )


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _interface(name: str, value: object) -> NetworkInterface:
    interface = record(value, "a network")
    return NetworkInterface(clean(name), *(whole(interface.get(counter), counter) for counter in _INTERFACE_COUNTERS))


def _bounded(limit: int | None) -> int:
    return 0 if limit is None or limit >= _UNLIMITED else limit


def _block_bytes(entries: Iterable[Payload], verb: str) -> int:
    return sum(whole(entry.get("value"), "block I/O") for entry in entries if label(entry, "op")[:1].lower() == verb)
