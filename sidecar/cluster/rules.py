"""One view out of the reports of many nodes. Pure.

A node that goes silent is blind, not healthy. Its containers are `unknown` from then on, and the span is an incident.
Nodes that share a kernel (the same boot id) share its count of OOM kills too. If one node cannot place a kill, it may
belong to another node of this kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sidecar.common.times import format_time
from sidecar.common.units import plural
from sidecar.model.cluster import UNKNOWN, NodeReport, Others
from sidecar.model.incident import FINAL, EvidenceItem, Incident, IncidentKind, Severity, identity
from sidecar.model.incident_kinds import KINDS
from sidecar.model.snapshot import Blind, Container, Node

SILENT_SECONDS = 5.0
GONE = timedelta(minutes=10)
CLOCK_SECONDS = 2.0

_OF_THE_MOMENT: dict[str, Any] = dict.fromkeys(  # unknown for a container while its node is silent
    (
        "health",
        "cpu_percent",
        "throttled_percent",
        "memory_working_set_bytes",
        "memory_usage_bytes",
        "memory_percent",
        "oom_eta_seconds",
        "pids",
    )
)
_SAME_KILL = timedelta(seconds=3)  # between a kernel's count on one node and the engine's event on another


@dataclass(frozen=True, slots=True)
class Peer:
    """One node as the leader knows it: its last report, the time of that report, and the current span of silence."""

    node: str
    report: NodeReport
    heard_at: datetime
    error: str = ""
    blind: Incident | None = None

    @property
    def is_silent(self) -> bool:
        """Return whether the node has been silent for long enough to report it."""
        return self.blind is not None


def others(peers: Iterable[Peer], own: Node) -> Others:
    """Build the part of a Snapshot that the other nodes give."""
    known = sorted(peers, key=lambda peer: peer.node)
    return Others(
        containers=tuple(_seen(container, peer) for peer in known for container in peer.report.snapshot.containers),
        nodes=tuple(sorted((own, *map(_node, known)), key=lambda node: (not node.leads, node.name))),
        blind=tuple(span for peer in known for span in _blind(peer)),
        unread=tuple(sentence for peer in known for sentence in _sentences(peer)),
    )


def _seen(container: Container, peer: Peer) -> Container:
    if not peer.is_silent:
        return replace(container, node=peer.node)
    return replace(
        container, node=peer.node, state=UNKNOWN if container.state == "running" else container.state, **_OF_THE_MOMENT
    )


def _node(peer: Peer) -> Node:
    report = peer.report
    reach = report.reach
    return Node(
        name=peer.node,
        answers=not peer.is_silent,
        at=report.at,
        leads=False,
        running=0
        if peer.is_silent
        else sum(1 for container in report.snapshot.containers if container.state == "running"),
        host=None if peer.is_silent else report.snapshot.host,
        master_ms=reach.took_ms if reach and not peer.is_silent else None,
        master_error=reach.error if reach and not peer.is_silent else None,
        clock_ahead_seconds=(report.at - peer.heard_at).total_seconds(),
        error=peer.error or None,
    )


def _blind(peer: Peer) -> Iterable[Blind]:
    for span in peer.report.snapshot.blind:
        yield replace(span, node=peer.node, text=f"{peer.node}: {span.text}")
    if peer.blind is not None:
        yield Blind(peer.blind.at, None, "node", covered=False, text=peer.blind.text, node=peer.node)


def _sentences(peer: Peer) -> Iterable[str]:
    if peer.is_silent:
        return  # its blind span has a line already
    if peer.report.snapshot.stale:
        yield f"{peer.node}: Docker does not answer the monitor there"
    ahead = (peer.report.at - peer.heard_at).total_seconds()
    if abs(ahead) >= CLOCK_SECONDS:
        way = "ahead of" if ahead > 0 else "behind"
        yield f"the clock of {peer.node} is {abs(ahead):.0f} s {way} the leader's, so its incidents have wrong times"
    if peer.report.reach is not None and peer.report.reach.error:
        yield f"{peer.node} cannot reach the master's port: {peer.report.reach.error}"


def as_told_by(report: NodeReport) -> tuple[Incident, ...]:
    """Return a node's own incidents, with the node's name if no container shows the node."""
    own = (incident for incident in report.incidents if incident.node in (None, report.node))
    return tuple(
        replace(
            incident, node=report.node, text=incident.text if incident.container else f"{report.node}: {incident.text}"
        )
        for incident in own
    )


# ---- silence ---------------------------------------------------------------------------------------------------------


def fell_silent(peer: Peer, project: str) -> Incident:
    """Return the incident of a node that no longer reports."""
    why = peer.error or "no answer"
    text = f"no report from {peer.node} from {peer.heard_at:%H:%M:%S} UTC on: {why}"
    return _span("node", peer.node, peer.heard_at, project, text, why)


def _span(what: str, node: str, at: datetime, project: str, text: str, *lines: str) -> Incident:
    """Return the incident of a node's silence or lost ledger, with the moment at which it begins."""
    return Incident(
        id=identity(IncidentKind.BLIND, "", f"{what} {node}", format_time(at)),
        kind=IncidentKind.BLIND,
        severity=KINDS[IncidentKind.BLIND].severity,
        at=at,
        project=project,
        text=text,
        evidence=(EvidenceItem("span", what, at, lines),),
        node=node,
    )


def is_silence_of(node: str, incident: Incident) -> bool:
    """Return whether an incident is a node's silence."""
    return (
        incident.kind is IncidentKind.BLIND
        and incident.node == node
        and any(item.what == "span" and item.text == "node" for item in incident.evidence)
    )


def spoke_again(blind: Incident, at: datetime, *, made_up: bool) -> Incident:
    """Return the incident after the node answers again; `made_up`: its own ledger covers the whole span."""
    lasted = (at - blind.at).total_seconds()
    when = f"from {blind.at:%H:%M:%S} to {at:%H:%M:%S} UTC"
    known = "its own ledger had everything afterwards" if made_up else "what happened there is unknown"
    return replace(
        blind,
        revision=blind.revision + 1,
        state=FINAL,
        until=at,
        severity=Severity.INFO if made_up else Severity.WARN,
        text=f"no report from {blind.node} {when} ({lasted:.1f} s): {known}",
    )


def never_came_back(blind: Incident, at: datetime) -> Incident:
    """Return the final incident of a node that did not come back."""
    text = f"no report from {blind.node} from {blind.at:%H:%M:%S} UTC on, and it did not come back"
    return replace(blind, revision=blind.revision + 1, state=FINAL, until=at, text=text)


def ledger_lost(node: str, at: datetime, project: str) -> Incident:
    """Return the incident of an earlier leader whose ledger cannot be read."""
    text = (
        f"{node} led until {at:%H:%M:%S} UTC and does not answer: its runs and reports, and the incidents of its own"
        " containers, cannot be read until it does"
    )
    return replace(_span("ledger", node, at, project, text), until=at, state=FINAL)


# ---- several nodes, one kernel ---------------------------------------------------------------------------------------


def reconciled(incidents: Sequence[Incident], kernels: Mapping[str, str], counted: Mapping[str, int]) -> list[Incident]:
    """Return the unattributed OOM kills that other nodes of the same kernel explain, corrected.

    Args:
        incidents: the recorded incidents of the last minutes, each with its node.
        kernels: the boot id of each node.
        counted: how many kills each incident stood for at first, by id, if that is known.

    """
    kills = [incident for incident in incidents if incident.kind is IncidentKind.OOM_KILL and incident.node in kernels]
    unplaced = sorted(
        (
            incident
            for incident in incidents
            if incident.kind is IncidentKind.UNATTRIBUTED_OOM_KILL and incident.node in kernels
        ),
        key=lambda incident: (incident.node or "", incident.at),
    )
    corrected = []
    for incident in unplaced:
        whole = counted.get(incident.id, incident.count)
        near = [kill for kill in kills if _is_elsewhere(kill, incident, kernels) and _overlap(incident, kill)]
        placed = min(whole, sum(kill.count for kill in near))
        twins = [twin for twin in unplaced if _is_elsewhere(twin, incident, kernels) and _overlap(incident, twin)]
        before = [twin for twin in twins if (twin.node or "") < (incident.node or "")]
        if not placed and before:  # every node of this kernel counted the kill: the first one reports it
            placed, near = whole, before[:1]
        if whole - placed != incident.count:
            corrected.append(_placed(incident, whole, placed, sorted({kill.node or "" for kill in near})))
    return corrected


def _is_elsewhere(other: Incident, incident: Incident, kernels: Mapping[str, str]) -> bool:
    return other.node != incident.node and kernels[other.node or ""] == kernels[incident.node or ""]


def _overlap(incident: Incident, other: Incident) -> bool:
    begin, end = incident.at - _SAME_KILL, (incident.until or incident.at) + _SAME_KILL
    return other.at <= end and (other.until or other.at) >= begin


def _placed(incident: Incident, whole: int, placed: int, nodes: Sequence[str]) -> Incident:
    left = whole - placed
    what = f"{plural(placed, 'OOM kill')} that {incident.node} could not attribute"
    rest = f"; {left} are still unexplained" if left else ""
    return replace(
        incident,
        revision=incident.revision + 1,
        count=left,
        severity=Severity.WARN if left else Severity.INFO,
        text=f"{what}: explained by {', '.join(nodes)}, on the same machine{rest}",
    )
