"""Polls every other node for its report while this node leads; the silence of a node becomes an incident."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sidecar.client.documents import IncidentList
from sidecar.client.reader import MonitorError
from sidecar.cluster import rules
from sidecar.cluster.rules import Peer
from sidecar.common.repeated import Repeated
from sidecar.model.cluster import NO_OTHERS, NodeReport, Others
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.signal import Gathered
from sidecar.model.snapshot import Node
from sidecar.monitor.assembly import Recorded
from sidecar.monitor.recorder import Put

_log = logging.getLogger(__name__)

_MOST_INCIDENTS = 5000
ASKERS = 8  # nodes asked at the same time
_SETTLING_SECONDS = 15.0  # of a new leader: until then, it may not have asked a node yet


class Asks(Protocol):
    """One node's monitor."""

    def report(self, mark: int | None) -> NodeReport:
        """Return the node's report; raises MonitorError without an answer."""

    def incident_list(self, **query: str | int) -> IncidentList:
        """Return incidents of the node's ledger; raises MonitorError if it cannot be read."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a PeerPoller needs from its monitor.

    `addresses` returns the addresses of all monitors, this one's too. `ask` makes a client for an address. `put` takes
    what is to be recorded, and `recorded` returns what is recorded. `led_before` returns who asked for this node's
    report before this node led, and until when.
    """

    node: str
    project: str
    boot_id: str
    addresses: Callable[[], Sequence[str]]
    ask: Callable[[str], Asks]
    put: Callable[[Put], None]
    recorded: Callable[[], Recorded]
    led_before: Callable[[], tuple[str, datetime] | None]
    now: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _PeerState:
    """The state of one address."""

    client: Asks
    mark: int | None = None
    began_at: datetime | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class _PeerAnswer:
    """One answer: the report, and whether the node's ledger has everything since the last answer."""

    address: str
    at: datetime
    report: NodeReport | None
    error: str = ""
    whole: bool = False


class PeerPoller(Repeated):
    """Asks every `interval_seconds`, in a thread of its own. Any thread may call `others`."""

    def __init__(self, around: Surroundings, interval_seconds: float) -> None:
        self._around = around
        self._interval_seconds = interval_seconds
        self._states: dict[str, _PeerState] = {}
        self._peers: dict[str, Peer] = {}
        self._counted: dict[str, int] = {}
        self._reported_lost: set[str] = set()
        self._leads, self._leads_since = False, 0.0
        self._pool = ThreadPoolExecutor(ASKERS, thread_name_prefix="peer")
        super().__init__("cluster")

    def stop(self, patience_seconds: float | None = 0.0) -> None:
        """Stop, without waiting for calls under way."""
        super().stop(patience_seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def lead(self, *, leads: bool) -> None:
        """Set whether this node leads, which means that the master runs here."""
        if leads and not self._leads:
            self._leads_since = self._around.monotonic()
            _log.info("the master runs on this node: this monitor now collects the other nodes' reports")
        self._leads = leads

    def others(self, own: Node) -> Others:
        """Return what the others saw; empty while another node leads."""
        return rules.others(list(self._peers.values()), own) if self._leads else replace(NO_OTHERS, nodes=(own,))

    def turn(self) -> float:
        """Ask all nodes once, if this node leads."""
        began = self._around.monotonic()
        if self._leads:
            self._ask_everyone()
        else:
            self._forget_all()
        return max(0.1, self._interval_seconds - (self._around.monotonic() - began))

    def _ask_everyone(self) -> None:
        known = set(self._around.addresses())
        for address in known - self._states.keys():
            self._states[address] = _PeerState(self._around.ask(address))
        asked = [address for address, peer in self._states.items() if peer.node != self._around.node]
        heard = list(self._pool.map(self._ask, asked))
        for address in self._states.keys() - known:  # a task that Swarm has removed; its node may have another
            self._states.pop(address).client.close()
        self._take(heard)
        self._look_for_silence(heard, {peer.node for peer in self._states.values()})
        self._look_for_lost_ledgers()
        self._reconcile()

    def _ask(self, address: str) -> _PeerAnswer:
        peer = self._states[address]
        try:
            report = peer.client.report(peer.mark)
            if report.node == self._around.node:
                peer.node = report.node
                return _PeerAnswer(address, self._around.now(), None)
            at = self._around.now()
            begun_anew = peer.began_at is not None and peer.began_at != report.began_at
            if peer.mark is None or begun_anew or not report.complete:
                whole = peer.client.incident_list(limit=_MOST_INCIDENTS, helpers=1)
                report = replace(report, incidents=whole.incidents)
        except MonitorError as error:
            return _PeerAnswer(address, self._around.now(), None, str(error))
        peer.mark, peer.began_at, peer.node = report.mark, report.began_at, report.node
        return _PeerAnswer(address, at, report, whole=True)

    def _take(self, heard: Sequence[_PeerAnswer]) -> None:
        for answer in heard:
            report = answer.report
            if report is None:
                continue
            if incidents := rules.as_told_by(report):
                self._around.put(Gathered(incidents))
            if (blind := self._blind_until_now(report.node)) is not None:
                self._around.put((rules.spoke_again(blind, answer.at, made_up=answer.whole),))
                _log.info("%s answers again", report.node)
            # The incidents are in the ledger now, and the reports of a thousand containers are large enough without
            # them.
            self._peers[report.node] = Peer(report.node, replace(report, incidents=()), answer.at)

    def _blind_until_now(self, node: str) -> Incident | None:
        """Return the silence that a node's report ends, from the ledger if this leader never heard the node."""
        if (before := self._peers.get(node)) is not None:
            return before.blind
        recorded = self._around.recorded().incidents
        return next(
            (incident for incident in recorded if rules.is_silence_of(node, incident) and incident.until is None), None
        )

    def _look_for_silence(self, heard: Sequence[_PeerAnswer], named: set[str]) -> None:
        spoke = {answer.report.node for answer in heard if answer.report is not None}
        errors = {
            self._states[answer.address].node: answer.error
            for answer in heard
            if answer.error and answer.address in self._states
        }
        now = self._around.now()
        for node, peer in list(self._peers.items()):
            if node in spoke:
                continue
            silent = now - peer.heard_at
            error = errors.get(node, "Swarm lists no monitor there any more")
            changed = replace(peer, error=error)
            if peer.blind is None and silent.total_seconds() >= rules.SILENT_SECONDS:
                changed = replace(changed, blind=rules.fell_silent(changed, self._around.project))
                _log.warning("%s is silent: %s", node, error)
                self._around.put((changed.blind,) if changed.blind else ())
            self._peers[node] = changed
            if changed.blind is not None and silent >= rules.GONE and node not in named:
                self._around.put((rules.never_came_back(changed.blind, now),))
                del self._peers[node]

    def _look_for_lost_ledgers(self) -> None:
        """Record that an earlier leader does not answer: the incidents that it alone recorded cannot be read."""
        if self._around.monotonic() - self._leads_since < _SETTLING_SECONDS:
            return
        leaders = [
            self._around.led_before(),
            *((peer.report.led_by, peer.report.led_at) for peer in self._peers.values()),
        ]
        latest: dict[str, datetime] = {}
        for node, at in filter(None, leaders):
            if node is not None and at is not None and node != self._around.node:
                latest[node] = max(at, latest.get(node, at))
        for node, at in latest.items():
            if node not in self._peers and node not in self._reported_lost:
                self._reported_lost.add(node)
                self._around.put((rules.ledger_lost(node, at, self._around.project),))

    def _reconcile(self) -> None:
        kernels = {peer.node: peer.report.boot_id for peer in self._peers.values()}
        kernels[self._around.node] = self._around.boot_id
        if len(set(kernels.values())) == len(kernels):
            return  # as on real machines: no two nodes share a kernel
        incidents = self._around.recorded().incidents
        unplaced = [incident for incident in incidents if incident.kind is IncidentKind.UNATTRIBUTED_OOM_KILL]
        self._counted = {incident.id: self._counted.get(incident.id, incident.count) for incident in unplaced}
        if changed := rules.reconciled(incidents, kernels, self._counted):
            self._around.put(tuple(changed))

    def _forget_all(self) -> None:
        for peer in self._states.values():
            peer.client.close()
        self._states, self._peers = {}, {}
        self._reported_lost = set()
