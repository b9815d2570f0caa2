"""All metrics for Prometheus at one moment, under the names that dashboards and alert rules already use.

Container metrics use cAdvisor's names, run metrics locust_exporter's, and the monitor's own begin with `locust_kit_`.
Pure.

This module writes Prometheus' text format itself. The library prometheus_client costs 15 MB of memory, has an unused
registry, and sorts and escapes each label at each scrape. The format is a few lines, and promtool checks them in a
test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sidecar.common.times import SECOND_NS
from sidecar.model.observation import ContainerSeries, Listed, SelfMetrics, StatsReading, Total
from sidecar.model.snapshot import EndpointStats, Locust, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Family:
    """One metric name with its samples. `kind` is counter, gauge, histogram or untyped."""

    name: str
    kind: str
    help: str
    lines: list[str] = field(default_factory=list)

    def add(self, value: float | None, labels: str = "", suffix: str = "") -> None:
        """Add a sample; None adds nothing. `labels` come from `labels()`."""
        if value is not None:
            self.lines.append(f"{self.name}{suffix}{f'{{{labels}}}' if labels else ''} {number(value)}")


def labels(values: Mapping[str, str]) -> str:
    """Write labels, without the braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def joined(first: str, **more: str) -> str:
    """Append labels to written ones."""
    return f"{first},{labels(more)}" if first else labels(more)


def written(families: Iterable[Family]) -> str:
    """Write families as one document. Families without samples are left out."""
    parts: list[str] = []
    for family in families:
        if family.lines:
            parts.append(f"# HELP {family.name} {_escaped_help(family.help)}")
            parts.append(f"# TYPE {family.name} {family.kind}")
            parts += family.lines
    return "\n".join(parts) + "\n"


def number(value: float) -> str:
    """Write a number as Go reads it: integers without a point, others with all significant digits."""
    return str(value) if isinstance(value, int) else repr(float(value))


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def _escaped_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def metrics_text(
    rows: Iterable[ContainerSeries], snapshot: Snapshot | None, own: SelfMetrics, *, legacy: bool = False
) -> str:
    """Write the answer to GET /metrics.

    Args:
        rows: the containers, from `Series.rows()` and for this answer alone.
        snapshot: the newest one, with its freshness checked; None before the first round.
        own: the monitor's metrics about itself.
        legacy: add locust_exporter's name `locust_requests_current_fail_per_sec` for its dashboards. promtool
            refuses this name; the valid one ends in `_second`.
    """
    # Old figures are left out: Prometheus marks a missing series as stale, but believes a frozen one.
    fresh = snapshot is not None and not snapshot.stale
    return written(
        [
            *container_families(rows, fresh=fresh),
            *locust_families(snapshot, legacy=legacy),
            *own_families(own, snapshot),
        ]
    )


def own_families(own: SelfMetrics, snapshot: Snapshot | None) -> list[Family]:
    """Make the families of the monitor."""
    fresh = snapshot is not None and not snapshot.stale
    ledger_help = "1 when incidents are written to disk, else 0."
    blind_help = "Time in which a source gave no data and nothing was filled in later."
    unplaced_help = "OOM kills that the kernel counted but no container explains."
    values: tuple[tuple[str, str, str, float], ...] = (
        ("blind_seconds_total", "counter", blind_help, own.blind_seconds),
        ("unattributed_oom_kills_total", "counter", unplaced_help, own.unattributed_kills),
        ("engine_up", "gauge", "1 when Docker's figures are fresh, else 0.", int(fresh)),
        ("start_time_seconds", "gauge", "When the monitor was started.", own.started_at.timestamp()),
        ("cpu_seconds_total", "counter", "CPU time that the monitor used.", own.cpu_seconds),
        ("memory_bytes", "gauge", "Resident memory of the monitor.", own.memory_bytes),
        ("journal_bytes", "gauge", "Size of the ledger on disk.", own.journal_bytes),
        ("ledger_up", "gauge", ledger_help, int(own.ledger_kept)),
        ("dropped_samples_total", "counter", "Samples not kept because the disk was slow.", own.dropped_samples),
        ("alerts_sent_total", "counter", "Messages that a receiver accepted.", own.alerts_sent),
        ("alerts_dropped_total", "counter", "Messages that did not fit into the queue.", own.alerts_dropped),
        ("alerts_failed_total", "counter", "Messages not delivered after all retries.", own.alerts_failed),
    )
    families = (_single(f"locust_kit_{name}", kind, text, value) for name, kind, text, value in values)
    return [*families, *_health(snapshot), _lag(own)]


def _health(snapshot: Snapshot | None) -> list[Family]:
    """Make the families of the health checks; without samples if there are no checks."""
    up = Family("locust_kit_endpoint_up", "gauge", "1 when an endpoint answered the last check, else 0.")
    took = Family("locust_kit_endpoint_response_seconds", "gauge", "How long an endpoint took to answer.")
    for endpoint in snapshot.health if snapshot else ():
        up.add(int(endpoint.passed), labels({"endpoint": endpoint.name}))
        if endpoint.response_ms is not None:
            took.add(endpoint.response_ms / 1000, labels({"endpoint": endpoint.name}))
    return [up, took]


def _lag(own: SelfMetrics) -> Family:
    lag = own.event_lag
    family = Family(
        "locust_kit_event_lag_seconds",
        "histogram",
        "Time from an event's own time stamp to its incident on disk.",
    )
    for bound, count in lag.upto:
        family.add(count, labels({"le": f"{bound:g}"}), "_bucket")
    family.add(lag.count, labels({"le": "+Inf"}), "_bucket")
    family.add(lag.sum_seconds, suffix="_sum")
    family.add(lag.count, suffix="_count")
    return family


_HEALTH = {"healthy": 1, None: -1}  # a container that is starting or unhealthy is not healthy: 0

# Each counter's metric name, its help, and how many of its units make one unit of the metric.
_TOTALS: dict[str, tuple[str, str, int]] = {
    "cpu_ns": ("container_cpu_usage_seconds_total", "CPU time used.", SECOND_NS),
    "periods": ("container_cpu_cfs_periods_total", "Scheduler periods with a CPU limit.", 1),
    "throttled_periods": (
        "container_cpu_cfs_throttled_periods_total",
        "Throttled scheduler periods.",
        1,
    ),
    "throttled_ns": (
        "container_cpu_cfs_throttled_seconds_total",
        "Throttled time.",
        SECOND_NS,
    ),
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
        "Memory in use, including page cache. The limit applies to this figure.",
        lambda now: now.memory_usage_bytes,
    ),
    (
        "container_memory_working_set_bytes",
        "Memory in use without reclaimable page cache, as docker stats shows it.",
        lambda now: now.memory_working_set_bytes,
    ),
    ("container_memory_rss", "Anonymous memory, in bytes.", lambda now: now.memory_rss_bytes),
    ("container_memory_cache", "Page cache, in bytes.", lambda now: now.memory_cache_bytes),
)


def container_families(rows: Iterable[ContainerSeries], *, fresh: bool) -> list[Family]:
    """Make the families of all containers; without `fresh`, only the counters."""
    totals = {total_name: Family(name, "counter", text) for total_name, (name, text, _) in _TOTALS.items()}
    kills = Family("container_oom_events_total", "counter", "OOM kills of the container, all starts together.")
    seen = Family("container_last_seen", "gauge", "When the container was last seen running, in seconds since 1970.")
    sizes = [Family(name, "gauge", text) for name, text, _ in _SIZES]
    limit = Family("container_spec_memory_limit_bytes", "gauge", "Memory limit of the container, 0 without a limit.")
    started = Family("container_start_time_seconds", "gauge", "When the container last started, in seconds since 1970.")
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
        total_name, interface = Total(*total)
        unit = _TOTALS[total_name][2]
        which = joined(who, interface=interface) if interface else who
        families[total_name].add(
            value if unit == 1 else value / unit, joined(which, cpu="total") if total_name == "cpu_ns" else which
        )


def _who(listed: Listed) -> str:
    """Write the labels of a container. Its id is the cgroup's path under cgroupfs, as in cAdvisor."""
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


_RUNNING = {"spawning": 1, "running": 2}
_Column = tuple[str, str, Callable[[EndpointStats], float | None]]
_LEGACY: _Column = ("current_fail_per_sec", "The same as ..._per_second.", lambda row: row.fail_per_second)
_ROW: tuple[_Column, ...] = (
    ("num_requests", "Requests of the run so far.", lambda row: row.requests),
    ("num_failures", "Failed requests of the run so far.", lambda row: row.failures),
    ("avg_response_time", "Average response time of the run, in ms.", lambda row: row.average_ms),
    ("min_response_time", "Shortest response time of the run, in ms.", lambda row: row.least_ms),
    ("max_response_time", "Longest response time of the run, in ms.", lambda row: row.most_ms),
    ("median_response_time", "Median response time of the run, in ms.", lambda row: row.p50_ms),
    ("current_rps", "Requests per second, over the last seconds.", lambda row: row.rps),
    ("current_fail_per_second", "Failed requests per second, over the last seconds.", lambda row: row.fail_per_second),
    ("avg_content_length", "Average length of a response, in bytes.", lambda row: row.average_content_bytes),
)


def locust_families(snapshot: Snapshot | None, *, legacy: bool) -> list[Family]:
    """Make the families of the run; only `locust_up` if the master gives no figures."""
    locust = snapshot.locust if snapshot else None
    up = Family("locust_up", "gauge", "1 when the master answers with its statistics, else 0.")
    up.add(int(locust is not None))
    if snapshot is None or locust is None:
        return [up]
    return [
        up,
        *_of_the_run(locust),
        *_workers(locust),
        *_rows(snapshot, locust, legacy=legacy),
        _errors(snapshot),
        _run_info(snapshot),
    ]


def _of_the_run(locust: Locust) -> list[Family]:
    percentile = "locust_requests_current_response_time_percentile"
    values = (
        ("locust_running", "0 stopped, 1 spawning, 2 running.", _RUNNING.get(locust.state, 0)),
        ("locust_users", "Simulated users.", locust.users),
        ("locust_requests_fail_ratio", "Share of failed requests in the run, 0 to 1.", locust.fail_ratio),
        (f"{percentile}_50", "Median response time of the last seconds, in ms.", locust.p50_ms),
        (f"{percentile}_95", "95th percentile of the response times of the last seconds, in ms.", locust.p95_ms),
    )
    return [_single(name, "gauge", text, value) for name, text, value in values]


def _workers(locust: Locust) -> list[Family]:
    states = [worker.state for worker in locust.workers]
    values = (
        ("locust_workers_count", "Workers connected to the master.", locust.workers_connected),
        ("locust_workers_running_count", "Workers that run users.", states.count("running")),
        ("locust_workers_hatching_count", "Workers that start users.", states.count("spawning")),
        (
            "locust_workers_missing_count",
            "Workers without heartbeats.",
            states.count("missing"),
        ),
    )
    # Untyped: names that end in _count are reserved for histograms and summaries.
    return [_single(name, "untyped", text, value) for name, text, value in values]


def _rows(snapshot: Snapshot, locust: Locust, *, legacy: bool) -> list[Family]:
    rows = {(row.method, row.name): row for row in snapshot.endpoints}  # Prometheus takes no name twice
    if locust.total is not None:
        rows["", locust.total.name] = locust.total
    columns = (*_ROW, _LEGACY) if legacy else _ROW
    families = [Family(f"locust_requests_{name}", "gauge", text) for name, text, _ in columns]
    for row in rows.values():
        which = labels({"method": row.method, "name": row.name})
        for family, (_, _, value) in zip(families, columns, strict=True):
            family.add(value(row), which)
    return families


def _errors(snapshot: Snapshot) -> Family:
    family = Family("locust_errors", "gauge", "How often each failure occurred in the run.")
    occurrences = Counter[tuple[str, str, str, str]]()
    for failure in snapshot.failures:
        occurrences[failure.method, failure.name, failure.error, failure.failure_class] += failure.occurrences
    for (method, name, error, failure_class), count in occurrences.items():
        which = {"method": method, "name": name, "error": error}
        family.add(count, labels(which | ({"class": failure_class} if failure_class else {})))
    return family


def _run_info(snapshot: Snapshot) -> Family:
    family = Family("locust_run_info", "gauge", "1, labelled with the run's id and LABELS: join other series to it.")
    if snapshot.run is not None:
        own = {label.name: label.value for label in snapshot.run.labels}
        family.add(1, labels({"run_id": snapshot.run.run_id, **own}))
    return family


def _single(name: str, kind: str, text: str, value: float | None) -> Family:
    family = Family(name, kind, text)
    family.add(value)
    return family
