"""What is known of a stack on a Swarm at one moment, before anybody judged it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sidecar.engine.swarm_manager import SwarmState


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What a node's own sidecar said when it was asked at the node's address, past the overlay network.

    `error` is why it said nothing. `master_error` is why the master's port could not be reached from there, over the
    overlay network; None when it could, or nobody tried.
    """

    node: str
    address: str
    error: str = ""
    master_error: str | None = None
    leads: bool = False


@dataclass(frozen=True, slots=True)
class ClusterEvidence:
    """Everything that was learnt.

    `refused` is why the manager could not be asked, with `refused_fix`; `fleet` is None then. `registered` is how many
    workers the master counts, None where it did not say, and `master_answer` why. `wanted` is how many there should be.
    `up_words` repeat the last swarm-up.
    """

    project: str
    at: datetime
    seconds: float
    wanted: int
    up_words: tuple[str, ...] = ()
    refused: str = ""
    refused_fix: str = ""
    fleet: SwarmState | None = None
    nodes: tuple[NodeSeen, ...] = ()
    registered: int | None = None
    master_answer: str = ""
