"""One frozen record for each message of the watching streams, before any rule is applied.

Times are nanoseconds since 1970 (`_ns`), as the engine's events have them: a float of seconds cannot hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.model.incident import Incident


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose container it is, by its Compose labels. `helper`: one of our own probes, or a one-off."""

    name: str
    project: str | None = None
    service: str | None = None
    index: int | None = None
    helper: bool = False


@dataclass(frozen=True, slots=True)
class DockerEvent:
    """One container event of the engine. `raw` is its JSON as it came; `ns` its own timeNano."""

    ns: int
    action: str  # create start die oom kill stop restart destroy pause unpause rename health_status
    container_id: str
    owner: Owner
    exit_code: int | None = None
    signal: int | None = None
    health: str | None = None
    received_ns: int = 0
    raw: str = ""


@dataclass(frozen=True, slots=True)
class StreamDown:
    """The event stream broke, or could not be opened, at this moment. Sent once until it is open again."""

    at_ns: int
    why: str


@dataclass(frozen=True, slots=True)
class StreamUp:
    """The event stream is open again.

    `since_ns` is the start of the requested replay, None at the first start with an empty ledger. `covered`: the
    engine's buffer reached back that far, so no event is missing.
    """

    at_ns: int
    since_ns: int | None
    covered: bool


@dataclass(frozen=True, slots=True)
class Counter:
    """The kernel's count of OOM kills in one container's cgroup; `cgroup` is its inode: a new inode means a new start.

    `peak_bytes` is the most memory that this start used, if requested and known to the kernel.
    """

    cgroup: int
    kills: int
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class KernelReading:
    """The kernel's counters of OOM kills, read at once.

    `host_kills` is `oom_kill` of /proc/vmstat, None when it cannot be read. `containers` has every container whose
    cgroup could be read, by full id; `elsewhere` the cgroups that are no container of this engine, by path, and only
    when the host's count changed. `complete` is False for a reading of only those containers that were asked for.
    """

    at_ns: int
    boot_id: str
    host_kills: int | None
    containers: Mapping[str, Counter] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A requested container's counter is missing: its cgroup is gone, or cannot be found."""

    at_ns: int
    container_id: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspect says about a container's life and death."""

    at_ns: int
    container_id: str
    owner: Owner
    state: str  # running, exited, restarting, paused, created, dead
    started_ns: int | None
    finished_ns: int | None
    exit_code: int | None
    oom_killed: bool
    restarts: int
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class OwnerLearned:
    """The owner of a container, learnt from a list because no event of it was seen."""

    container_id: str
    owner: Owner


@dataclass(frozen=True, slots=True)
class ContainerRemoved:
    """An inspect of this container said that it does not exist any more."""

    at_ns: int
    container_id: str


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """The ledger could not be written in this span; `lost` is how many signals did not fit into memory."""

    since_ns: int
    until_ns: int
    lost: int
    why: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: provisional incidents may become final, and unattributed kills may be settled."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Noted:
    """A person wrote a note on an incident. It replaces an earlier note."""

    incident_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """Incidents of another node's ledger. Incidents that are already known at this revision are skipped."""

    incidents: tuple[Incident, ...]


Signal = (
    DockerEvent
    | StreamDown
    | StreamUp
    | KernelReading
    | Unreadable
    | Inspection
    | OwnerLearned
    | ContainerRemoved
    | Tick
)
