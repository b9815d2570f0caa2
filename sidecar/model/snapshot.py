"""The Snapshot: everything that a view, the page or a script can show of one moment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from sidecar.model.incident import Incident

MOST_LABELS, LONGEST_LABEL = 16, 200
_LABEL_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,62}")
_OWN_LABELS = ("run_id",)
SCHEMA_VERSION = 1
MASTER, WORKER = "locust-master", "locust-worker"  # the services of docker-compose.yml
MISSING = "missing"  # the state of a worker without heartbeats


@dataclass(frozen=True, slots=True)
class RunLabel:
    """One label of a run."""

    name: str
    value: str


def is_label_name(text: str) -> bool:
    """Return whether a label may have this name: Prometheus allows it, and the kit does not use it."""
    return bool(_LABEL_NAME.fullmatch(text)) and text not in _OWN_LABELS


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The current run of the master, or its last one."""

    run_id: str
    state: str
    started_at: datetime | None = None
    labels: tuple[RunLabel, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """How many containers of a Compose service are in which state."""

    service: str
    containers: int
    running: int
    healthy: int
    unhealthy: int
    restarting: int
    exited: int


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Figures are None when it does not run, or when they are not known yet.

    `cpu_percent` counts 100 for one core; `memory_percent` is the working set against the limit, or against the
    host's memory without a limit, as in `docker stats`. `oom_kills` is the ledger's count for this container, all
    starts together. `oom_eta_seconds` is None if no OOM kill is expected. `node` is its machine in a cluster. The
    state is `unknown` if the node does not answer.
    """

    service: str
    index: int
    name: str
    id: str
    state: str
    health: str | None = None
    exit_code: int | None = None
    restarts: int | None = None
    started_at: datetime | None = None
    sampled_at: datetime | None = None
    cpu_percent: float | None = None
    cpu_limit_percent: float | None = None
    throttled_percent: float | None = None
    memory_working_set_bytes: int | None = None
    memory_usage_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_percent: float | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    pids: int | None = None
    project: str | None = None
    oom_kills: int | None = None
    oom_eta_seconds: float | None = None
    exit_reason: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """One Locust worker process as the master sees it, and the container it lives in when that is known.

    `remote`: it runs on another machine, and was never in a container of this engine. `processes` is the expected
    number of Locust processes in its container.
    """

    id: str
    container: str | None
    state: str
    users: int
    cpu_percent: float
    memory_bytes: int
    locustfile_changed: tuple[str, ...] = ()
    remote: bool = False
    processes: int = 1


@dataclass(frozen=True, slots=True)
class MasterFigures:
    """The state of the run, and figures of the last seconds. `fail_ratio` covers the whole run."""

    state: str
    users: int
    rps: float
    fail_per_second: float
    fail_ratio: float
    p50_ms: float | None
    p95_ms: float | None
    workers_connected: int


@dataclass(frozen=True, slots=True)
class Locust(MasterFigures):
    """The master's figures. `workers_expected` is the expected number of workers in this engine's running containers.

    `total` is the master's row `Aggregated`: all requests of the run together.
    """

    workers_expected: int
    workers: tuple[Worker, ...] = ()
    locustfile_changed: tuple[str, ...] = ()
    total: EndpointStats | None = None
    users_by_class: dict[str, int] = field(default_factory=dict)

    @property
    def workers_remote(self) -> int:
        """Return how many of the connected workers run on other machines."""
        return sum(1 for worker in self.workers if worker.remote and worker.state != MISSING)

    @property
    def workers_here(self) -> int:
        """Return how many of the connected workers run on this machine."""
        return self.workers_connected - self.workers_remote


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that the engine runs on. Rates are None until there are two readings."""

    cpu_percent: float | None
    cpu_count: int
    load_1m: float
    memory_used_bytes: int
    memory_total_bytes: int
    memory_percent: float
    disk_read_bytes_per_second: float | None
    disk_write_bytes_per_second: float | None
    network_rx_bytes_per_second: float | None
    network_tx_bytes_per_second: float | None
    disk_used_percent: float | None


@dataclass(frozen=True, slots=True)
class Warn:
    """One thing that is wrong (`error`) or about to be (`warn`), in one line; `container` is its full name."""

    severity: str
    text: str
    container: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One recent line of a container's log."""

    at: datetime | None
    service: str
    container: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Failures that are the same: a group of the plugin's, without the plugin a row of the master's list.

    `error` is the message; in a group, ids and numbers are masked. `failure_class` and `detail` are the plugin's
    (server_error, 503), "" without the plugin. `trace_id` and `trace_url` are those of the latest known failure.
    """

    method: str
    name: str
    error: str
    occurrences: int
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    failure_class: str = ""
    detail: str = ""
    trace_id: str = ""
    trace_url: str = ""

    @property
    def text(self) -> str:
        """Return the class, if there is one, and the message."""
        named = f"{self.failure_class} {self.detail}".rstrip()
        return f"{named}: {self.error}" if named else self.error


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """One row of the master's statistics. It covers the whole run; the two rates cover the last seconds."""

    method: str
    name: str
    requests: int
    failures: int
    rps: float
    p95_ms: float | None
    fail_per_second: float = 0.0
    p50_ms: float | None = None
    average_ms: float | None = None
    least_ms: float | None = None
    most_ms: float | None = None
    average_content_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class VerdictSoFar:
    """The verdict so far: PASS, FAIL or INVALID, and the reasons, the most serious first."""

    word: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Blind:
    """A span in which a source gave no data.

    `until` is None while it lasts. `covered` means that it was made up for: the engine's buffer reached back to its
    start, and the kernel counted no kill that cannot be placed.
    """

    since: datetime
    until: datetime | None
    source: str  # sidecar, events, kernel, ledger
    covered: bool
    text: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster, as its own monitor reported it at `at`.

    `answers` is False while it does not answer: then all its data is as old as `at`. `leads` marks the node of the
    master, whose monitor collects the reports of the others. `master_ms` is the time that a connection from the node
    to the master's port took, `master_error` why it failed. `clock_ahead_seconds` is its clock minus the leader's.
    """

    name: str
    answers: bool
    at: datetime | None = None
    leads: bool = False
    running: int = 0
    host: Host | None = None
    master_ms: float | None = None
    master_error: str | None = None
    clock_ahead_seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The last health check of something that a run needs.

    `since` is when the present result began. `status` is None without an answer. `uptime_percent` is the share of
    successful checks in the last day.
    """

    name: str  # master, statistics, sidecar, target, or one of HEALTH_URLS
    url: str
    passed: bool
    at: datetime
    since: datetime
    status: int | None = None
    response_ms: float | None = None
    error: str = ""
    uptime_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment.

    `at` is when it was made, `engine_read_at` when Docker last answered. `stale` means that the containers and their
    figures are as old as that. `round_seconds` is how long reading everything took. `incidents` are the latest ones,
    newest first. `watched` is the other Compose project in the view (WATCH_PROJECT). In a cluster, `node` is the node
    of this monitor, `leads` whether it collects the others' reports, and `nodes` are all nodes.
    """

    project: str
    at: datetime
    stale: bool
    interval_seconds: float
    engine_read_at: datetime | None = None
    round_seconds: float | None = None
    run: RunStatus | None = None
    services: tuple[Service, ...] = ()
    containers: tuple[Container, ...] = ()
    locust: Locust | None = None
    locust_error: str | None = None
    host: Host | None = None
    warnings: tuple[Warn, ...] = ()
    logs: tuple[LogLine, ...] = ()
    verdict: VerdictSoFar | None = None
    failures: tuple[Failure, ...] = ()
    endpoints: tuple[EndpointStats, ...] = ()
    incidents: tuple[Incident, ...] = ()
    blind: tuple[Blind, ...] = ()
    watched: str | None = None
    health: tuple[Health, ...] = ()
    node: str | None = None
    leads: bool | None = None
    nodes: tuple[Node, ...] = ()
    schema_version: int = SCHEMA_VERSION
