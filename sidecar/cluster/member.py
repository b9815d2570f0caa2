"""This node in a cluster: it reports about itself, and polls the others while the master runs here."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sidecar.cluster.peer_client import PeerClient, addresses
from sidecar.cluster.peer_poller import PeerPoller, Surroundings
from sidecar.common.repeated import Repeated
from sidecar.common.version import KIT_VERSION
from sidecar.model.cluster import NO_OTHERS, NodeReport, Others, Reach
from sidecar.model.snapshot import MASTER, Blind, Host, Node, Snapshot
from sidecar.monitor.assembly import ContainerReadings, Recorded
from sidecar.monitor.board import Upserts
from sidecar.monitor.recorder import Put
from sidecar.settings.monitor import MASTER_PORT, ClusterSettings

_UNKNOWN = dict.fromkeys(("run", "locust", "locust_error", "verdict"))
_EMPTY = dict.fromkeys(("services", "warnings", "logs", "failures", "endpoints", "incidents", "health", "nodes"), ())
_NOT_OWN: dict[str, Any] = {**_UNKNOWN, **_EMPTY}  # what a Snapshot holds of the run and of other nodes
REACH_EVERY_SECONDS = 10.0
REACH_AGAIN_SECONDS = 1.0  # after a failure, so that the page shows a started master within seconds
_REACH_TIMEOUT_SECONDS = 3.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOST_INTERVAL_SECONDS = 2.0  # so that the leader's ledger has an OOM kill on any node within 5 s


class NodeStatusPublisher:
    """Holds the newest Snapshot of this node; for any thread.

    Args:
        node: its name in the cluster.
        boot_id: which kernel it runs on.
        clock: the time of day.
        reach: the last attempt to reach the master's port.
    """

    def __init__(
        self, node: str, boot_id: str, clock: Callable[[], datetime], reach: Callable[[], Reach | None]
    ) -> None:
        self.node, self.boot_id = node, boot_id
        self._clock, self._reach = clock, reach
        self._began_at = clock()
        self._own: Snapshot | None = None
        self._leaders: dict[str, datetime] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Keep a round's Snapshot; if it includes other nodes, keep only this node's part."""
        self._own = replace(
            snapshot,
            containers=tuple(container for container in snapshot.containers if container.node == self.node),
            blind=tuple(span for span in snapshot.blind if span.node in (None, self.node)),
            **_NOT_OWN,
        )

    def asked_by(self, leader: str) -> None:
        """Remember the leader. If it vanishes with its ledger, the next leader can report that."""
        self._leaders[leader] = self._clock()

    def led_before(self, leader: str) -> tuple[str, datetime] | None:
        """Return the leader before this one and until when it led; None if there was no other."""
        others = [(at, node) for node, at in self._leaders.items() if node not in (leader, self.node)]
        return (max(others)[1], max(others)[0]) if others else None

    def report(self, news: Upserts, leader: str) -> NodeReport | None:
        """Return this node's report, with the incidents that are new to the leader; None before the first round."""
        if self._own is None:
            return None
        led_by, led_at = self.led_before(leader) or (None, None)
        return NodeReport(
            node=self.node,
            boot_id=self.boot_id,
            kit_version=KIT_VERSION,
            began_at=self._began_at,
            at=self._clock(),
            snapshot=self._own,
            mark=news.mark,
            complete=news.complete,
            incidents=tuple(incident for incident in news.incidents if incident.node in (None, self.node)),
            reach=self._reach(),
            led_by=led_by,
            led_at=led_at,
        )


def reach(host: str, port: int, clock: Callable[[], datetime]) -> Reach:
    """Open one connection to the master's port, and close it."""
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=_REACH_TIMEOUT_SECONDS):
            return Reach(clock(), took_ms=1000 * (time.monotonic() - began))
    except socket.gaierror:
        return Reach(clock(), error=f"no such name: {host}")
    except TimeoutError:
        return Reach(clock(), error=f"no answer within {_REACH_TIMEOUT_SECONDS:.0f} s")
    except OSError as error:
        return Reach(clock(), error=error.strerror or type(error).__name__)


class Prober(Repeated):
    """Tries every ten seconds, and every second until a try succeeds, in a thread of its own."""

    def __init__(self, attempt: Callable[[], Reach]) -> None:
        self._attempt = attempt
        self._known: Reach | None = None
        super().__init__("reach")

    def known(self) -> Reach | None:
        """Return the last attempt; None before the first. Any thread."""
        return self._known

    def turn(self) -> float:
        """Try to connect once."""
        self._known = attempt = self._attempt()
        return REACH_EVERY_SECONDS if attempt.error is None else REACH_AGAIN_SECONDS


class ClusterMember:
    """Both roles of one node's monitor in a cluster: it reports, and it polls."""

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
        """Start both threads."""
        self._prober.start()
        self._poller.start()

    def stop(self) -> None:
        """Stop both threads."""
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
