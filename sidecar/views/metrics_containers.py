"""Containers as cAdvisor exposes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sidecar.model.observation import ContainerSeries, Listed, StatsReading, Total
from sidecar.views.exposition import Family, joined, labels

_NS = 1_000_000_000
_HEALTH = {"healthy": 1, None: -1}  # a container that is starting or unhealthy is not healthy: 0

# What each counter is called, with its help and how many of its own units make one of the name's.
_TOTALS: dict[str, tuple[str, str, int]] = {
    "cpu_ns": ("container_cpu_usage_seconds_total", "Processor time used.", _NS),
    "periods": ("container_cpu_cfs_periods_total", "Scheduler periods that passed under a processor limit.", 1),
    "throttled_periods": ("container_cpu_cfs_throttled_periods_total", "Periods in which it was held back.", 1),
    "throttled_ns": ("container_cpu_cfs_throttled_seconds_total", "Time for which it was held back.", _NS),
    "rx_bytes": ("container_network_receive_bytes_total", "Bytes received.", 1),
    "rx_packets": ("container_network_receive_packets_total", "Packets received.", 1),
    "rx_errors": ("container_network_receive_errors_total", "Errors while receiving.", 1),
    "tx_bytes": ("container_network_transmit_bytes_total", "Bytes sent.", 1),
    "tx_packets": ("container_network_transmit_packets_total", "Packets sent.", 1),
    "tx_errors": ("container_network_transmit_errors_total", "Errors while sending.", 1),
    "read_bytes": ("container_fs_reads_bytes_total", "Bytes read from disk.", 1),
    "write_bytes": ("container_fs_writes_bytes_total", "Bytes written to disk.", 1),
}
_SIZES: tuple[tuple[str, str, Callable[[StatsReading], int]], ...] = (
    (
        "container_memory_usage_bytes",
        "Memory in use, the page cache included: what the limit is enforced on.",
        lambda now: now.memory_usage_bytes,
    ),
    (
        "container_memory_working_set_bytes",
        "Memory in use without the page cache that can be dropped at once, as docker stats has it.",
        lambda now: now.memory_working_set_bytes,
    ),
    ("container_memory_rss", "Anonymous memory, in bytes.", lambda now: now.memory_rss_bytes),
    ("container_memory_cache", "Page cache, in bytes.", lambda now: now.memory_cache_bytes),
)


def container_families(rows: Iterable[ContainerSeries], *, fresh: bool) -> list[Family]:
    """Make the families of all containers; without `fresh`, only what a counter had reached."""
    totals = {what: Family(name, "counter", text) for what, (name, text, _) in _TOTALS.items()}
    kills = Family("container_oom_events_total", "counter", "OOM kills of its processes, all its starts together.")
    seen = Family("container_last_seen", "gauge", "When it last was seen running, in seconds since 1970.")
    sizes = [Family(name, "gauge", text) for name, text, _ in _SIZES]
    limit = Family("container_spec_memory_limit_bytes", "gauge", "Its memory limit, 0 without one.")
    started = Family("container_start_time_seconds", "gauge", "When it last was started, in seconds since 1970.")
    health = Family("container_health_state", "gauge", "1 healthy, 0 not (yet), -1 without a health check.")
    for row in rows:
        who = _who(row.listed)
        kills.add(row.oom_kills, who)
        seen.add(row.seen_at.timestamp(), who)
        _add_totals(totals, row, who)
        if not (fresh and row.present):
            continue
        limit.add(row.memory_limit_bytes, who)
        started.add(row.started_at.timestamp() if row.started_at else None, who)
        if row.counters is not None:
            health.add(_HEALTH.get(row.listed.health, 0), who)
            for family, (_, _, size) in zip(sizes, _SIZES, strict=True):
                family.add(size(row.counters), who)
    return [kills, seen, *totals.values(), *sizes, limit, started, health]


def _add_totals(families: dict[str, Family], row: ContainerSeries, who: str) -> None:
    for total, value in row.totals.items():
        what, card = Total(*total)
        unit = _TOTALS[what][2]
        which = joined(who, interface=card) if card else who
        families[what].add(
            value if unit == 1 else value / unit, joined(which, cpu="total") if what == "cpu_ns" else which
        )


def _who(listed: Listed) -> str:
    """Write the labels of a container. cAdvisor's id is the cgroup's path, which under cgroupfs is this."""
    return labels(
        {
            "id": f"/docker/{listed.id}",
            "name": listed.name,
            "image": listed.image,
            "container_label_com_docker_compose_project": listed.project or "",
            "container_label_com_docker_compose_service": listed.service,
            "container_label_com_docker_compose_container_number": str(listed.index),
        }
    )
