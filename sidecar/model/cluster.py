"""What the monitors of a cluster exchange. Each watches its own engine; the one beside the master leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sidecar.model.incident import Incident
from sidecar.model.snapshot import SCHEMA_VERSION, Blind, Container, Node, Snapshot

UNKNOWN = "unknown"  # the state of a container on a node that is silent


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a node could connect to the master's port, and how long it took."""

    at: datetime
    took_ms: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One monitor's report on its own node.

    `snapshot` has no incidents, no log and no figures of the master. `incidents` are those that are new or changed
    since the mark in the request; `mark` is for the next request. If `complete` is false, or `began_at` (the monitor's
    start) is not that of last time, the reader must read /api/incidents. `boot_id` names the kernel: nodes that share a
    kernel share its counters. `led_by` is the leader that asked before, and until when.
    """

    node: str
    boot_id: str
    kit_version: str
    began_at: datetime
    at: datetime
    snapshot: Snapshot
    mark: int
    complete: bool = True
    incidents: tuple[Incident, ...] = ()
    reach: Reach | None = None
    led_by: str | None = None
    led_at: datetime | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Others:
    """What the leader adds to its own Snapshot: containers, nodes and blind spans of all other nodes.

    `unread` holds a sentence for each node that does not answer or answers something odd.
    """

    containers: tuple[Container, ...] = ()
    nodes: tuple[Node, ...] = ()
    blind: tuple[Blind, ...] = ()
    unread: tuple[str, ...] = ()


NO_OTHERS = Others()
