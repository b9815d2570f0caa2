"""What a sidecar of a cluster is told beside what every sidecar is."""

from __future__ import annotations

from dataclasses import dataclass, field

PEERS = "tasks.monitor"
MASTER = "locust-master"
MASTER_PORT = 5557


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """This machine's name in the cluster, the token that opens every sidecar of it, and where all of them are.

    `peers` is the name that resolves to all of them, `port` where each answers.
    """

    node: str
    token: str = field(repr=False)
    peers: str = PEERS
    port: int = 8090
