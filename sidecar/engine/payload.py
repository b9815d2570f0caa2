"""The engine's JSON, read into observations. Pure.

What the recorded payloads teach: a stopped container answers stats with 200 and empty bodies, host networking has no
`networks`, the block I/O list may be null and writes its verbs in upper case under cgroup v1, and a counter that has
no limit says 2^64-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.model.observation import Card, Counters, Inspected, Listed
from sidecar.model.text import clean
from sidecar.model.times import docker_time

Payload = Mapping[str, Any]  # the engine's JSON: its schema is Docker's, so each read below says what it expects

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
NUMBER_LABEL = "com.docker.compose.container-number"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
ROLE_LABEL = "io.locust-kit.role"

_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")
_ENDED = frozenset({"exited", "dead", "restarting"})  # the states in which the last exit code is this state's cause
_NANO_CPUS_PER_PERCENT = 10_000_000
_UNLIMITED = 1 << 62  # cgroup v1 writes "no limit" as a number close to 2^63, v2 as one close to 2^64


def listed(entries: Iterable[Payload]) -> tuple[Listed, ...]:
    """Read `GET /containers/json`, without one-off containers and the kit's own helpers."""
    return tuple(_listed(entry) for entry in entries if not _is_helper(entry.get("Labels") or {}))


def _is_helper(labels: Mapping[str, str]) -> bool:
    return labels.get(ONE_OFF_LABEL, "").lower() == "true" or ROLE_LABEL in labels


def _listed(entry: Payload) -> Listed:
    labels = entry.get("Labels") or {}
    names = entry.get("Names") or [entry["Id"][:12]]
    number = labels.get(NUMBER_LABEL, "")
    status = entry.get("Status") or ""
    health = _HEALTH.search(status)
    return Listed(
        id=entry["Id"],
        name=clean(names[0].lstrip("/")),
        service=clean(labels.get(SERVICE_LABEL, "")) or "?",
        index=int(number) if number.isdigit() else 1,
        state=entry.get("State") or "unknown",
        health=health[1] if health else None,
        project=clean(labels.get(PROJECT_LABEL, "")) or None,
        image=clean(str(entry.get("Image") or "")),
    )


def inspected(payload: Payload) -> Inspected:
    """Read `GET /containers/{id}/json`."""
    state, host = payload["State"], payload.get("HostConfig") or {}
    return Inspected(
        hostname=(payload.get("Config") or {}).get("Hostname") or "",
        started_at=docker_time(state.get("StartedAt")),
        exit_code=state.get("ExitCode") if state.get("Status") in _ENDED else None,
        restarts=payload.get("RestartCount") or 0,
        memory_limit_bytes=host.get("Memory") or None,
        cpu_limit_percent=_cpu_limit_percent(host),
        tty=bool((payload.get("Config") or {}).get("Tty")),
    )


def _cpu_limit_percent(host: Payload) -> float | None:
    if nano := host.get("NanoCpus"):
        return float(nano / _NANO_CPUS_PER_PERCENT)
    quota = host.get("CpuQuota") or 0
    return float(quota / (host.get("CpuPeriod") or 100_000) * 100) if quota > 0 else None


def counters(payload: Payload) -> Counters | None:
    """Read `GET /containers/{id}/stats`; None when the container does not run."""
    read_at = docker_time(payload.get("read"))
    memory, cpu = payload.get("memory_stats") or {}, payload.get("cpu_stats") or {}
    if read_at is None or "usage" not in memory:
        return None
    usage = cpu.get("cpu_usage") or {}
    throttling = cpu.get("throttling_data") or {}
    cards = tuple(_card(name, card) for name, card in (payload.get("networks") or {}).items())
    kept = memory.get("stats") or {}
    block = (payload.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return Counters(
        read_at=read_at,
        cpu_total_ns=usage.get("total_usage") or 0,
        system_cpu_ns=cpu.get("system_cpu_usage"),
        online_cpus=cpu.get("online_cpus") or len(usage.get("percpu_usage") or ()) or 1,
        cpu_periods=throttling.get("periods") or 0,
        cpu_throttled_periods=throttling.get("throttled_periods") or 0,
        memory_usage_bytes=memory["usage"],
        memory_reclaimable_bytes=_reclaimable(kept),
        memory_limit_bytes=_bounded(memory.get("limit")),
        network_rx_bytes=sum(card.rx_bytes for card in cards),
        network_tx_bytes=sum(card.tx_bytes for card in cards),
        block_read_bytes=_block_bytes(block, "r"),
        block_write_bytes=_block_bytes(block, "w"),
        pids=(payload.get("pids_stats") or {}).get("current"),
        cpu_throttled_ns=throttling.get("throttled_time") or 0,
        # The first name of each is cgroup v1's, where the total_ ones count child groups too.
        memory_rss_bytes=int(kept.get("total_rss", kept.get("anon", 0))),
        memory_cache_bytes=int(kept.get("total_cache", kept.get("file", 0))),
        cards=cards,
    )


def _card(name: str, card: Payload) -> Card:
    return Card(
        name=clean(name),
        rx_bytes=card.get("rx_bytes") or 0,
        rx_packets=card.get("rx_packets") or 0,
        rx_errors=card.get("rx_errors") or 0,
        tx_bytes=card.get("tx_bytes") or 0,
        tx_packets=card.get("tx_packets") or 0,
        tx_errors=card.get("tx_errors") or 0,
    )


def _reclaimable(stats: Payload) -> int:
    # total_inactive_file exists under cgroup v1 only; v1 also has an inactive_file, which leaves out child groups.
    return int(stats.get("total_inactive_file", stats.get("inactive_file", 0)))


def _bounded(limit: int | None) -> int:
    return 0 if limit is None or limit >= _UNLIMITED else limit


def _block_bytes(entries: Iterable[Payload], verb: str) -> int:
    return sum(entry.get("value", 0) for entry in entries if str(entry.get("op", ""))[:1].lower() == verb)
