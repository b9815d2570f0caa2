"""One view out of many nodes' reports: who is silent, whose kill it was, which container of one name is meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.cluster import rules as cluster
from sidecar.cluster.rules import Peer
from sidecar.model.cluster import UNKNOWN
from sidecar.model.incident import FINAL, EvidenceItem, IncidentKind, Severity
from sidecar.model.snapshot import Blind
from sidecar.monitor.assembly import newest_of_each_name
from tests.unit.cluster.cluster_scene import BOOT, NOW, OWN, incident, later, report, worker


def heard(node: str, *containers: object, **changes: object) -> Peer:
    return Peer(node, report(node, *containers, **changes), NOW)  # type: ignore[arg-type]


def silent(peer: Peer) -> Peer:
    return replace(peer, error="no answer", blind=cluster.fell_silent(replace(peer, error="no answer"), "locust"))


def test_what_the_others_see_comes_with_the_name_of_their_node() -> None:
    found = cluster.others([heard("node3", worker(2)), heard("node2", worker(1))], OWN)
    assert [(container.node, container.index) for container in found.containers] == [("node2", 1), ("node3", 2)]
    assert [(node.name, node.leads, node.running) for node in found.nodes] == [
        ("node1", True, 0),
        ("node2", False, 1),
        ("node3", False, 1),
    ]
    assert (found.blind, found.unread) == ((), ())


def test_a_silent_nodes_containers_are_unknown_and_have_no_figures() -> None:
    found = cluster.others([silent(heard("node2", worker(1), worker(2, state="exited", health=None)))], OWN)
    running, exited = found.containers
    assert (running.state, running.health, running.cpu_percent, running.memory_usage_bytes) == (
        UNKNOWN,
        None,
        None,
        None,
    )
    assert exited.state == "exited"
    assert [(node.name, node.answers, node.running) for node in found.nodes] == [
        ("node1", True, 0),
        ("node2", False, 0),
    ]
    (span,) = found.blind
    assert (span.node, span.until, span.since) == ("node2", None, NOW)
    assert span.text == "no report from node2 from 15:04:05 UTC on: no answer"


def test_a_nodes_own_blind_spans_are_named_after_it() -> None:
    span = Blind(NOW, None, "events", covered=False, text="Docker's events did not arrive")
    peer = heard("node2")
    peer = replace(peer, report=replace(peer.report, snapshot=replace(peer.report.snapshot, blind=(span,))))
    assert [one.text for one in cluster.others([peer], OWN).blind] == ["node2: Docker's events did not arrive"]


@pytest.mark.parametrize(("ahead", "said"), [(1.5, ""), (3.0, "3 s ahead of"), (-4.0, "4 s behind")])
def test_a_clock_that_goes_wrong_is_said(ahead: float, said: str) -> None:
    unread = cluster.others([heard("node2", at=later(ahead))], OWN).unread
    assert ([said in one for one in unread] if said else unread) == ([True] if said else ())


def test_the_silence_is_one_incident_that_ends_with_what_was_made_up_for() -> None:
    opened = cluster.fell_silent(replace(heard("node2"), error="no route to host"), "locust")
    assert (opened.kind, opened.until, opened.node, opened.severity) == (
        IncidentKind.BLIND,
        None,
        "node2",
        Severity.WARN,
    )
    made_up = cluster.spoke_again(opened, later(12), made_up=True)
    assert (made_up.id, made_up.revision, made_up.severity, made_up.state) == (opened.id, 2, Severity.INFO, FINAL)
    assert made_up.text.endswith("(12.0 s): its own ledger had everything afterwards")
    assert cluster.spoke_again(opened, later(12), made_up=False).severity is Severity.WARN
    assert cluster.is_silence_of("node2", opened)
    assert not cluster.is_silence_of("node3", opened)
    other = incident(IncidentKind.BLIND, "node2", evidence=(EvidenceItem("span", "events"),))
    assert not cluster.is_silence_of("node2", other)


# ---- several nodes, one kernel ---------------------------------------------------------------------------------------

ONE_KERNEL = {"node1": BOOT, "node2": BOOT, "node3": BOOT}


def kill(node: str, count: int = 1, seconds: float = 0.0) -> object:
    return incident(IncidentKind.OOM_KILL, node, count=count, at=later(seconds), until=later(seconds))


def unplaced(node: str, count: int = 1, seconds: float = 0.0) -> object:
    return incident(IncidentKind.UNATTRIBUTED_OOM_KILL, node, count=count, at=later(seconds - 1), until=later(seconds))


@pytest.mark.parametrize(
    ("incidents", "left"),
    [
        pytest.param(
            [kill("node2"), unplaced("node1"), unplaced("node3")], {"node1": 0, "node3": 0}, id="told elsewhere"
        ),
        pytest.param([kill("node2", 2), unplaced("node1", 3)], {"node1": 1}, id="one is nobody's"),
        pytest.param([kill("node2"), kill("node3"), unplaced("node1", 2)], {"node1": 0}, id="two nodes"),
        pytest.param([kill("node2", seconds=60), unplaced("node1")], {}, id="another time"),
        pytest.param([kill("node1"), unplaced("node1")], {}, id="its own are not counted again"),
        pytest.param(
            [unplaced("node1"), unplaced("node2"), unplaced("node3")], {"node2": 0, "node3": 0}, id="nobody's"
        ),
    ],
)
def test_a_kill_that_another_node_of_the_kernel_tells_of_is_not_nobodys(incidents: list, left: dict[str, int]) -> None:  # type: ignore[type-arg]
    found = cluster.reconciled(incidents, ONE_KERNEL, {})
    assert {one.node: one.count for one in found} == left
    assert all(one.severity is (Severity.WARN if one.count else Severity.INFO) for one in found)


def test_it_is_corrected_once_and_from_what_it_first_stood_for() -> None:
    first = [kill("node2"), unplaced("node1", 2)]
    (once,) = cluster.reconciled(first, ONE_KERNEL, {})  # type: ignore[arg-type]
    counted = {once.id: 2}
    assert once.count == 1
    assert cluster.reconciled([first[0], once], ONE_KERNEL, counted) == []  # type: ignore[list-item]
    (twice,) = cluster.reconciled([first[0], kill("node3"), once], ONE_KERNEL, counted)  # type: ignore[list-item]
    assert twice.count == 0


def test_machines_of_their_own_are_left_alone() -> None:
    kernels = {"node1": "a", "node2": "b"}
    assert cluster.reconciled([kill("node2"), unplaced("node1")], kernels, {}) == []  # type: ignore[list-item]


# ---- tasks that were replaced ----------------------------------------------------------------------------------------


def test_of_one_name_the_running_container_stays_and_else_the_newest() -> None:
    old, dead, new = (
        worker(1, id="a", state="exited", started_at=later(-60)),
        worker(2, id="b", state="exited", started_at=later(-90)),
        worker(1, id="c", started_at=later(-30)),
    )
    newer_dead = worker(2, id="d", state="exited", started_at=later(-10))
    unknown = worker(1, id="e", state=UNKNOWN, started_at=later(0))
    assert [one.id for one in newest_of_each_name([old, dead, new, newer_dead, unknown])] == ["c", "d"]
