"""One frozen record for each reading of a source, before any rule is applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sidecar.model.signal import Inspection
from sidecar.model.snapshot import EndpointStats, Failure, MasterFigures, RunStatus, Worker


@dataclass(frozen=True, slots=True)
class Listed:
    """One container from the engine's list: cheap, fresh, without figures.

    `image` is the name with which it was started.
    """

    id: str
    name: str
    service: str
    index: int
    state: str
    health: str | None
    project: str | None = None
    image: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """Facts of a container that need an inspect and change rarely. `inspection` has start and exit."""

    hostname: str
    started_at: datetime | None
    exit_code: int | None
    restarts: int
    memory_limit_bytes: int | None
    cpu_limit_percent: float | None
    tty: bool
    inspection: Inspection | None = None


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """The traffic of one network interface of a container since its start."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int


@dataclass(frozen=True, slots=True)
class StatsReading:
    """One stats reading of a running container: counters since its start, and sizes of the moment.

    `memory_rss_bytes` is anonymous memory, `memory_cache_bytes` the page cache. There are no `interfaces` with
    host networking.
    """

    read_at: datetime
    cpu_total_ns: int
    system_cpu_ns: int | None
    online_cpus: int
    cpu_periods: int
    cpu_throttled_periods: int
    memory_usage_bytes: int
    memory_reclaimable_bytes: int
    memory_limit_bytes: int
    network_rx_bytes: int
    network_tx_bytes: int
    block_read_bytes: int
    block_write_bytes: int
    pids: int | None
    cpu_throttled_ns: int = 0
    memory_rss_bytes: int = 0
    memory_cache_bytes: int = 0
    interfaces: tuple[NetworkInterface, ...] = ()

    @property
    def memory_working_set_bytes(self) -> int:
        """Return memory in use without reclaimable page cache, by Docker's rule."""
        reclaimable = self.memory_reclaimable_bytes
        return self.memory_usage_bytes - (reclaimable if reclaimable < self.memory_usage_bytes else 0)


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of a container as in `docker stats`. A rate is None until there are two readings."""

    sampled_at: datetime
    cpu_percent: float | None
    throttled_percent: float | None
    memory_working_set_bytes: int
    memory_usage_bytes: int
    memory_percent: float | None
    network_rx_bytes: int
    network_tx_bytes: int
    block_read_bytes: int
    block_write_bytes: int
    pids: int | None


@dataclass(frozen=True, slots=True)
class MasterStats(MasterFigures):
    """The master's own figures (`/stats/requests`).

    `failures` and `endpoints` are the most frequent rows; `total` is the row of all requests of the run together.
    """

    workers: tuple[Worker, ...]
    failures: tuple[Failure, ...] = ()
    endpoints: tuple[EndpointStats, ...] = ()
    total: EndpointStats | None = None


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """The answer of `/locust-kit/status`: the run, processes with older files than on disk, what failed.

    `processes` is how many Locust processes the container of each worker should have.
    `judge` holds the criteria of the run. `meters` holds what the workers measured, by meter.
    `failure_groups` is the plugin's account of the failures. All are empty with an older plugin.
    `record_error` says why the run's record cannot be written; "" if it can.
    """

    run: RunStatus | None
    master_changed: tuple[str, ...] = ()
    workers_changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    processes: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    judge: Mapping[str, Any] = field(default_factory=dict)
    meters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failure_groups: Mapping[str, Any] = field(default_factory=dict)
    record_error: str = ""
    users_by_class: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocustReading:
    """One reading of the master: its figures or the reason why they are missing, and the plugin's status."""

    stats: MasterStats | None
    error: str | None
    plugin: PluginStatus | None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a container's log, cleaned for display."""

    at: datetime | None
    text: str


class Total(NamedTuple):
    """The key of a counter: its name, and the network interface if it has one."""

    what: str  # cpu_ns periods throttled_periods throttled_ns read_bytes write_bytes {rx,tx}_{bytes,packets,errors}
    interface: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSeries:
    """The values of one container.

    `present`: the engine still lists it. `seen_at`: when it was last seen alive. `counters` is None if it does
    not run. `memory_limit_bytes` is 0 without a limit, and None while it is unknown.
    """

    listed: Listed
    present: bool
    seen_at: datetime
    started_at: datetime | None
    memory_limit_bytes: int | None
    counters: StatsReading | None
    totals: Mapping[Total, int]
    oom_kills: int


@dataclass(frozen=True, slots=True)
class Lag:
    """A histogram of how long things took, in seconds.

    `upto` has (bound, how many took at most that long) for each bound, ascending; `count` is of all.
    """

    upto: tuple[tuple[float, int], ...] = ()
    count: int = 0
    sum_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SelfMetrics:
    """The monitor at one moment. Totals are since `started_at`; blind spans and kills are the ledger's totals.

    `event_lag` is the time from an event's own time stamp until its incident was committed. `journal_bytes` is the
    ledger's size. `ledger_kept`: the ledger is on a disk that outlives the monitor. `dropped_samples` were not kept
    because the disk was too slow. `alerts_dropped` did not fit into the queue; `alerts_failed` failed after retries.
    """

    started_at: datetime
    cpu_seconds: float
    memory_bytes: int
    blind_seconds: float = 0.0
    unattributed_kills: int = 0
    event_lag: Lag = Lag()
    journal_bytes: int = 0
    dropped_samples: int = 0
    alerts_sent: int = 0
    alerts_dropped: int = 0
    alerts_failed: int = 0
    ledger_kept: bool = True
