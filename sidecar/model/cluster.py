"""What the sidecars of a cluster tell one another: each watches its own engine, and the one beside the master leads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sidecar.model.incident import Incident
from sidecar.model.snapshot import SCHEMA_VERSION, Blind, Container, Node, Snapshot

UNKNOWN = "unknown"  # the state of a container on a node that is silent


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a connection to the master's port came about from a node, and how long it took."""

    at: datetime
    took_ms: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What one sidecar says of its own node.

    `snapshot` is its own, without incidents, log and what the master says. `incidents` are those that came or changed
    since the mark that was asked with, `mark` what to ask with next time; not `complete`, or with another `began_at`
    (the sidecar's start) than last time, they are to be read from /api/incidents. `boot_id` names the kernel: several
    nodes of one share its counters. `led_by` is who gathered this sidecar's word before the one who asks, until when.
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
    """What the leader adds to its own Snapshot: the containers, the nodes and the blind spans of all the others.

    `unread` holds a sentence for each node that is silent or odd.
    """

    containers: tuple[Container, ...] = ()
    nodes: tuple[Node, ...] = ()
    blind: tuple[Blind, ...] = ()
    unread: tuple[str, ...] = ()


NO_OTHERS = Others()
