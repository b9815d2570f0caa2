"""An incident: one event that went wrong, or that is needed to judge a measurement, recorded once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from sidecar.common.text import clean

PROVISIONAL, FINAL = "provisional", "final"
SIGKILL_EXIT = 137  # the exit code of a process that SIGKILL ended: 128 + 9
LONGEST_NOTE = 500
NOTE_WANTED = f"1 to {LONGEST_NOTE} characters"


class IncidentKind(StrEnum):
    """The kind of an incident. The values are a contract with every reader of the documents."""

    OOM_KILL = "oom_kill"
    RESTART = "restart"
    EXIT = "exit"
    UNHEALTHY = "unhealthy"
    WORKER_LOST = "worker_lost"
    WORKER_LEFT = "worker_left"
    MASTER_RESTART = "master_restart"
    THROTTLED = "throttled"
    MEMORY_HIGH = "memory_high"
    FORECAST = "forecast"
    FAILURE_RATIO = "failure_ratio"
    RESTART_LOOP = "restart_loop"
    UNATTRIBUTED_OOM_KILL = "unattributed_oom_kill"
    BLIND = "blind"


class ExitReason(StrEnum):
    """Why a container's main process ended."""

    OOM = "oom"
    STOPPED = "stopped"  # a person, Compose or the daemon asked it to
    KILLED = "killed"  # SIGKILL from an unknown sender, which no OOM kill explains
    CRASHED = "crashed"  # a code other than 0
    LOST_MASTER = "lost_master"  # a Locust worker that lost its master, and ended with 0
    FINISHED = "finished"  # exit code 0 without a request
    UNSEEN = "unseen"  # it ended while the monitor could not see


class Severity(StrEnum):
    """How much an incident matters: an error breaks the measurement, a warning may break it, an info explains."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class MemorySample:
    """A container's memory at one moment."""

    at: datetime
    working_set_bytes: int
    usage_bytes: int


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One observation behind an incident: what was seen, and where. `lines` holds the end of a log."""

    what: str  # kernel_counter, oom_event, exit, signals, inspect, host_counter, memory, log, locust, cgroup, span
    text: str
    at: datetime | None = None
    lines: tuple[str, ...] = ()
    samples: tuple[MemorySample, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident, as it is known at one revision.

    `at` is its first sign, `until` its last (None: ongoing). `count` is the number of kills, restarts and so on,
    `raw_events` the number of engine events. `estimated` means that the count is not from the kernel.
    `container_id` is the full id, `container` the name, `container_started_at` the start in which it happened.
    `process_survived` shows whether the container's main process survived. `cause` is the id of the incident that
    caused this one. `workers` are the ids of Locust workers in the container, `users_lost` their users.
    `node` is the machine of a cluster. `helper` marks an incident of the kit's own probes (the self-test's
    containers): views leave it out.
    """

    id: str
    kind: IncidentKind
    severity: Severity
    at: datetime
    text: str
    revision: int = 1
    state: str = PROVISIONAL
    until: datetime | None = None
    project: str | None = None
    service: str | None = None
    container: str | None = None
    container_id: str | None = None
    container_started_at: datetime | None = None
    reason: ExitReason | None = None
    exit_code: int | None = None
    process_survived: bool | None = None
    count: int = 1
    raw_events: int = 0
    estimated: bool = False
    memory_at_death_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    workers: tuple[str, ...] = ()
    users_lost: int | None = None
    cause: str | None = None
    run_id: str | None = None
    evidence: tuple[EvidenceItem, ...] = ()
    note: str | None = None
    helper: bool = False
    person_note: str | None = None
    node: str | None = None


def identity(kind: IncidentKind, container_id: str, started_at: str, first: int | str) -> str:
    """Return the id of an incident: a hash of the facts that never change.

    Args:
        kind: its kind.
        container_id: the full id; "" if no container is concerned.
        started_at: the container's start, as first known; "" if no container is concerned.
        first: the first event's timeNano, or another mark that is unique within this start.
    """
    return sha256(f"{kind}|{container_id}|{started_at}|{first}".encode()).hexdigest()[:16]


def note_line(text: str) -> str:
    """Return a note as one harmless line.

    Raises:
        ValueError: the note is empty or too long.

    """
    line = clean(text).strip()
    if not 1 <= len(line) <= LONGEST_NOTE:
        raise ValueError(f"the note has {len(line)} characters")
    return line
