"""The settings of one call, complete and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidecar.model.threshold import Threshold


@dataclass(frozen=True)
class Given:
    """One setting's text as somebody gave it, and who did (`make command line`, `.env line 3`, the last `up`).

    An empty text, possible on the command line only, asks for the default.
    """

    raw: str
    source: str


@dataclass(frozen=True)
class Settings:
    """Every setting as a value. Sizes are bytes, times seconds, shares 0 to 1, folders absolute.

    `given` holds the settings that somebody set, `passthrough` the LOCUST_* of .env that are no settings of ours.
    """

    root: Path
    project: str
    workers: int
    web_port: int
    monitor_port: int
    host: str
    mock: bool
    target_network: str
    remote_workers: str
    remote_allow: tuple[str, ...]
    master: tuple[str, int] | None
    locustfiles_dir: Path
    locustfile: str
    classes: tuple[str, ...]
    tags: tuple[str, ...]
    exclude_tags: tuple[str, ...]
    users: int
    spawn_rate: float
    run_time: int
    fail_ratio: float
    thresholds: tuple[Threshold, ...]
    thresholds_file: str
    on_invalid: str
    generator_cpu: float
    generator_throttled: float
    sustained_seconds: float
    sustained_share: float
    run: str
    baseline: str
    endpoint: str
    method: str
    most_users: int
    step_seconds: int
    labels: tuple[str, ...]
    attach: bool
    stop_timeout: int
    reports_dir: Path
    worker_memory: int
    worker_memory_reservation: int
    master_memory: int
    worker_cpus: float | None
    nofile: int
    base_image: str
    locust_image: str
    interval: float
    tail: int
    once: bool
    service: str
    follow: bool
    watch_project: str
    fail_threshold: float
    health_seconds: int
    health_target: bool
    health_urls: tuple[tuple[str, str], ...]
    ledger_days: int
    ledger_megabytes: int
    locust_web_username: str
    locust_web_password: str = field(repr=False)
    share_tls: bool
    connect_timeout: float | None
    read_timeout: float | None
    pool_size: int | None
    retries: int
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    proxy: str | None
    trace_memory: bool
    gc_freeze: bool
    gc_thresholds: tuple[int, ...] | None
    slow_ms: float
    slow_requests: int
    slow_top: int
    redact: tuple[str, ...]
    redact_keep_last: int
    failure_level: str
    failure_records_per_second: int
    push_url: str
    push_key: str = field(repr=False)
    push_spool_megabytes: int
    alert_urls: tuple[str, ...] = field(repr=False)
    alert_kinds: tuple[str, ...]
    alert_cooldown_seconds: int
    registry: str
    swarm_nodes: tuple[str, ...]
    swarm_master_node: str
    swarm_encrypted: bool
    dry_run: bool
    yes: bool
    with_reports: bool
    given: Mapping[str, Given] = field(repr=False)
    passthrough: Mapping[str, str]

    def said_now(self, name: str) -> bool:
        """Whether this very call named the setting: not a file, not memory."""
        entry = self.given.get(name)
        return entry is not None and entry.source in (COMMAND_LINE, MAKE_COMMAND_LINE, ENVIRONMENT)

    @property
    def project_word(self) -> str:
        """What a make command needs to find this stack."""
        return project_word(self.project)

    @property
    def state_dir(self) -> Path:
        """The git-ignored folder in which the kit remembers."""
        return self.root / ".locust-kit"


COMMAND_LINE = "command line"
MAKE_COMMAND_LINE = "make command line"
ENVIRONMENT = "environment"
REMEMBERED = "the last `up`"


def project_word(project: str) -> str:
    """What a make command needs to find the stack of a project: " PROJECT=name", nothing for the default."""
    return "" if project == "locust" else f" PROJECT={project}"
