"""The leader asks the others, and takes what they tell once, however often it has to ask."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from sidecar.client.documents import IncidentList
from sidecar.client.reader import MonitorError
from sidecar.cluster.peer_poller import PeerPoller, Surroundings
from sidecar.cluster.rules import fell_silent
from sidecar.model.cluster import NodeReport
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.signal import Gathered
from sidecar.monitor.assembly import Recorded
from tests.unit.cluster.cluster_scene import OWN, incident, later, report, worker


@dataclass
class Pretend:
    """One node's sidecar: what it says next, and what it was asked."""

    says: NodeReport | str
    ledger: tuple[Incident, ...] = ()
    marks: list[int | None] = field(default_factory=list)
    read_whole: int = 0

    def report(self, mark: int | None) -> NodeReport:
        self.marks.append(mark)
        if isinstance(self.says, str):
            raise MonitorError(self.says)
        return self.says

    def incident_list(self, **_: str | int) -> IncidentList:
        self.read_whole += 1
        return IncidentList("locust", later(0), self.ledger, ())

    def close(self) -> None:
        pass


class Rig:
    """A PeerPoller among pretended nodes, with a clock that stands until it is moved."""

    def __init__(self, **nodes: Pretend) -> None:
        self.nodes = nodes
        self.seconds = 0.0
        self.put: list[Any] = []
        self.recorded = Recorded()
        self.led_before: tuple[str, datetime] | None = None
        around = Surroundings(
            node="node1",
            project="locust",
            boot_id="node1-boot",
            addresses=lambda: tuple(self.nodes),
            ask=lambda address: self.nodes[address],
            put=self.put.append,
            recorded=lambda: self.recorded,
            led_before=lambda: self.led_before,
            now=lambda: later(self.seconds),
            monotonic=lambda: self.seconds,
        )
        self.poller = PeerPoller(around, 2.0)
        self.poller.lead(leads=True)

    def turn(self, seconds: float = 2.0) -> None:
        self.seconds += seconds
        self.poller.turn()

    def gathered(self) -> list[str]:
        return [one.id for put in self.put if isinstance(put, Gathered) for one in put.incidents]

    def told(self) -> list[Incident]:
        return [one for put in self.put if isinstance(put, tuple) for one in put]


def test_a_node_is_read_whole_once_and_then_only_what_is_new() -> None:
    old, new = incident(IncidentKind.EXIT, None, id="old"), incident(IncidentKind.OOM_KILL, None, id="new")
    node = Pretend(report("node2", worker(1)), ledger=(old,))
    rig = Rig(a=node)
    rig.turn()
    node.says = replace(report("node2"), mark=8, incidents=(new,))
    rig.turn()
    assert (node.marks, node.read_whole, rig.gathered()) == ([None, 7], 1, ["old", "new"])
    assert {one.node for put in rig.put for one in put.incidents} == {"node2"}


@pytest.mark.parametrize("change", [{"began_at": later(1)}, {"complete": False}], ids=["begun anew", "too far behind"])
def test_what_may_have_been_missed_is_read_whole_again(change: dict[str, Any]) -> None:
    node = Pretend(report("node2"))
    rig = Rig(a=node)
    rig.turn()
    node.says = replace(report("node2"), **change)
    rig.turn()
    assert node.read_whole == 2


def test_this_node_itself_is_not_gathered() -> None:
    rig = Rig(a=Pretend(report("node1")), b=Pretend(report("node2", worker(1))))
    rig.turn()
    rig.turn()
    assert [node.name for node in rig.poller.others(OWN).nodes] == ["node1", "node2"]
    assert len(rig.nodes["a"].marks) == 1


def test_an_incident_that_a_node_has_only_heard_of_is_not_its_own() -> None:
    theirs = incident(IncidentKind.EXIT, "node3", id="of another")
    rig = Rig(a=Pretend(report("node2"), ledger=(theirs,)))
    rig.turn()
    assert rig.gathered() == []


def test_a_node_that_falls_silent_is_blind_from_its_last_word_on_until_it_speaks() -> None:
    node = Pretend(report("node2", worker(1)))
    rig = Rig(a=node)
    rig.turn()
    node.says = "no answer within 3 s"
    rig.turn()
    assert rig.told() == []  # one missed answer is no silence
    rig.turn(4)
    (opened,) = rig.told()
    assert (opened.kind, opened.at, opened.node) == (IncidentKind.BLIND, later(2), "node2")
    assert [container.state for container in rig.poller.others(OWN).containers] == ["unknown"]
    rig.turn()
    assert len(rig.told()) == 1
    node.says = report("node2", worker(1))
    rig.turn()
    closed = rig.told()[-1]
    assert (closed.id, closed.severity, closed.until) == (opened.id, Severity.INFO, later(12))
    assert [container.state for container in rig.poller.others(OWN).containers] == ["running"]


def test_a_node_whose_name_is_gone_for_long_is_given_up() -> None:
    rig = Rig(a=Pretend(report("node2")))
    rig.turn()
    rig.nodes.clear()
    rig.turn()  # asked once more: a name goes before its task does
    rig.turn(6)
    assert [node.answers for node in rig.poller.others(OWN).nodes] == [True, False]
    rig.turn(700)
    assert rig.told()[-1].text.endswith("and it did not come back")
    assert [node.name for node in rig.poller.others(OWN).nodes] == ["node1"]


def test_a_leader_that_starts_anew_ends_the_silence_that_its_ledger_knows() -> None:
    rig = Rig()
    node = Pretend(report("node2"))
    earlier = Rig(a=node)
    earlier.turn()
    opened = fell_silent(earlier.poller._peers["node2"], "locust")
    rig.recorded = Recorded(incidents=(opened,))
    rig.nodes["a"] = node
    rig.turn()
    assert [(one.id, one.until) for one in rig.told()] == [(opened.id, later(2))]


def test_the_leader_before_this_one_is_missed_when_it_does_not_answer() -> None:
    rig = Rig(a=Pretend(replace(report("node2"), led_by="node3", led_at=later(-9))))
    rig.turn()
    assert rig.told() == []  # it may only not have been asked yet
    rig.turn(20)
    (lost,) = rig.told()
    assert (lost.node, lost.at, lost.severity) == ("node3", later(-9), Severity.WARN)
    rig.turn()
    assert len(rig.told()) == 1


def test_a_leader_before_that_answers_is_not_missed() -> None:
    rig = Rig(a=Pretend(report("node2")))
    rig.led_before = ("node2", later(-9))
    rig.turn()
    rig.turn(20)
    assert rig.told() == []


def test_nobody_is_asked_while_another_node_leads() -> None:
    node = Pretend(report("node2", worker(1)))
    rig = Rig(a=node)
    rig.turn()
    rig.poller.lead(leads=False)
    rig.turn()
    assert len(node.marks) == 1
    assert rig.poller.others(OWN).containers == ()
