"""This node in a cluster: it reports about itself, and polls the others while the master runs here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from sidecar.cluster.node_status import NodeStatusPublisher, Prober, reach
from sidecar.cluster.peer_client import PeerClient, addresses
from sidecar.cluster.peer_poller import PeerPoller, Surroundings
from sidecar.model.cluster import NO_OTHERS, Others
from sidecar.model.snapshot import MASTER, Blind, Host, Node
from sidecar.monitor.assembly import ContainerReadings, Recorded
from sidecar.monitor.recorder import Put
from sidecar.settings.monitor import MASTER_PORT, ClusterSettings

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOST_INTERVAL_SECONDS = 2.0  # an OOM kill on any node is in the leader's ledger within 5 s


class ClusterMember:
    """Both sides of one node's sidecar in a cluster."""

    def __init__(
        self,
        settings: ClusterSettings,
        project: str,
        interval_seconds: float,
        *,
        put: Callable[[Put], None],
        recorded: Callable[[], Recorded],
        now: Callable[[], datetime],
    ) -> None:
        self.node = settings.node
        self._now = now
        self._others = NO_OTHERS
        self.leads = False
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        self._prober = Prober(lambda: reach(MASTER, MASTER_PORT, now))
        self.publisher = NodeStatusPublisher(settings.node, boot_id, now, self._prober.known)
        around = Surroundings(
            node=settings.node,
            project=project,
            boot_id=boot_id,
            addresses=lambda: addresses(settings.peers, settings.port),
            ask=lambda address: PeerClient(address, settings.port, settings.token, settings.node),
            put=put,
            recorded=recorded,
            led_before=lambda: self.publisher.led_before(settings.node),
            now=now,
            monotonic=time.monotonic,
        )
        self._poller = PeerPoller(around, min(interval_seconds, _MOST_INTERVAL_SECONDS))

    def start(self) -> None:
        """Begin both."""
        self._prober.start()
        self._poller.start()

    def stop(self) -> None:
        """End both."""
        self._poller.stop()
        self._prober.stop()

    def others(self, containers: Sequence[ContainerReadings], host: Host | None, *, leads: bool) -> Others:
        """Return what the other nodes saw, with this node among all of them."""
        self.leads = leads
        self._poller.lead(leads=leads)
        known = self._prober.known()
        own = Node(
            name=self.node,
            answers=True,
            at=self._now(),
            leads=leads,
            running=sum(1 for container_readings in containers if container_readings.listed.state == "running"),
            host=host,
            master_ms=known.took_ms if known else None,
            master_error=known.error if known else None,
        )
        self._others = self._poller.others(own)
        return self._others

    def blind(self) -> tuple[Blind, ...]:
        """Return the blind spans of the other nodes."""
        return self._others.blind
