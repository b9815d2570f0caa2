"""swarm-diagnose: from what the manager and the nodes' sidecars say to one cause. Inflicted for real: tests/swarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sidecar.diagnose import render
from sidecar.diagnose.catalogue import LAYERS, causes
from sidecar.engine.swarm_manager import NodeFacts, ServiceFacts, SwarmState, TaskFacts
from sidecar.swarm.diagnosis import FILE, diagnose
from sidecar.swarm.evidence import ClusterEvidence, NodeSeen

NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC)
GIB = 1 << 30
IMAGE = "locust-kit/locust:aaaaaaaaaaaa"


def node(number: int, **changes: Any) -> NodeFacts:
    given = NodeFacts(
        f"id{number}", f"node{number}", "ready", "active", "worker", f"10.0.0.{number}", 8 * GIB, 4.0, "28"
    )
    return replace(given, **changes)


def service(name: str, replicas: int | None, **changes: Any) -> ServiceFacts:
    return replace(ServiceFacts(name, IMAGE, replicas, GIB, 2 * GIB, "", ""), **changes)


def task(name: str, slot: int | None, number: int, **changes: Any) -> TaskFacts:
    given = TaskFacts(f"{name}{slot}", name, slot, f"id{number}", "running", "running", "", IMAGE, "c", None, NOW)
    return replace(given, **changes)


def well() -> ClusterEvidence:
    nodes = tuple(node(number) for number in (1, 2, 3))
    services = (
        service("docker-proxy", None),
        service("locust-master", 1),
        service("locust-worker", 3),
        service("mock-target", 0),
        service("monitor", None),
    )
    tasks = (
        task("locust-master", 1, 1),
        *(task("locust-worker", slot, slot) for slot in (1, 2, 3)),
        *(
            task("monitor", None, number, id=f"m{number}", image="locust-kit/monitor:cccccccccccc")
            for number in (1, 2, 3)
        ),
    )
    seen = tuple(NodeSeen(one.name, one.address, leads=one.name == "node1") for one in nodes)
    fleet = SwarmState(nodes, services, tasks)
    return ClusterEvidence("locust", NOW, 0.1, 3, ("WORKERS=3",), fleet=fleet, nodes=seen, registered=3)


def fleet_of(evidence: ClusterEvidence) -> SwarmState:
    """What the manager said."""
    return evidence.fleet


def changed(evidence: ClusterEvidence, **changes: Any) -> ClusterEvidence:
    """With another fleet."""
    return replace(evidence, fleet=replace(fleet_of(evidence), **changes))


def with_tasks(evidence: ClusterEvidence, name: str, **changes: Any) -> ClusterEvidence:
    """With all tasks of one service changed."""
    tasks = tuple(replace(one, **changes) if one.service == name else one for one in fleet_of(evidence).tasks)
    return changed(evidence, tasks=tasks)


def with_service(evidence: ClusterEvidence, name: str, **changes: Any) -> ClusterEvidence:
    """With one service changed."""
    services = tuple(replace(one, **changes) if one.name == name else one for one in fleet_of(evidence).services)
    return changed(evidence, services=services)


NO_ROOM = "no suitable node (insufficient resources on 3 nodes)"
NOT_ALLOWED = "no suitable node (scheduling constraints not satisfied on 3 nodes)"


def missing_image() -> ClusterEvidence:
    base = well()
    rejected = task(
        "locust-worker", 3, 3, id="r", state="rejected", desired="shutdown", error=f"No such image: {IMAGE}"
    )
    tasks = (*(one for one in fleet_of(base).tasks if one.id != "locust-worker3"), rejected)
    return replace(changed(base, tasks=tasks), registered=2)


def failing() -> ClusterEvidence:
    base = well()
    ended = [
        task(
            "locust-worker", 3, 3, id=f"f{number}", state="failed", desired="shutdown", error="task: non-zero exit (1)"
        )
        for number in range(3)
    ]
    waits = task("locust-worker", 3, 3, state="ready")
    tasks = (*(one for one in fleet_of(base).tasks if one.id != "locust-worker3"), *ended, waits)
    return replace(changed(base, tasks=tasks), registered=2)


def two_images() -> ClusterEvidence:
    return replace(with_tasks(well(), "locust-worker", image="locust-kit/locust:bbbbbbbbbbbb"), registered=0)


def filtered() -> ClusterEvidence:
    base = well()
    seen = (base.nodes[0], replace(base.nodes[1], master_error="no answer within 3 s"), base.nodes[2])
    return replace(base, nodes=seen, registered=2)


def down() -> ClusterEvidence:
    base = well()
    nodes = (*fleet_of(base).nodes[:2], node(3, state="down"))
    seen = (*base.nodes[:2], replace(base.nodes[2], error="no answer"))
    return replace(changed(base, nodes=nodes), nodes=seen, registered=2)


def silent() -> ClusterEvidence:
    base = well()
    return replace(base, nodes=(*base.nodes[:2], replace(base.nodes[2], error="connection refused")))


CASES = {
    "no-manager": lambda: replace(
        well(),
        fleet=SwarmState((), (), ()),
        refused="this Docker engine is in no Swarm",
        refused_fix="docker swarm init",
    ),
    "node-down": down,
    "stack-not-deployed": lambda: replace(changed(well(), services=(), tasks=()), nodes=(), registered=None),
    "image-missing": missing_image,
    "reservation-fits-nowhere": lambda: replace(
        with_tasks(well(), "locust-worker", state="pending", node_id="", error=NO_ROOM), registered=0
    ),
    "no-node-allowed": lambda: replace(
        with_tasks(well(), "locust-master", state="pending", node_id="", error=NOT_ALLOWED), registered=None
    ),
    "tasks-failing": failing,
    "versions-differ": two_images,
    "update-stopped": lambda: with_service(
        well(), "locust-worker", update="paused", update_message="update paused due to failure"
    ),
    "master-port-filtered": filtered,
    "workers-not-registered": lambda: replace(well(), registered=1),
    "sidecar-silent": silent,
}


def test_a_cluster_that_is_well_has_no_finding() -> None:
    found = diagnose(well())
    assert (found.findings, found.summary.root_cause, found.summary.ok) == ((), None, 10)
    assert (found.workers, found.connected) == (3, 3)


@pytest.mark.parametrize("slug", CASES)
def test_each_cause_is_found_alone_and_what_follows_from_it_is_folded(slug: str) -> None:
    found = diagnose(CASES[slug]())
    assert [finding.slug for finding in found.findings] == [slug]
    assert found.summary.root_cause == slug
    assert found.findings[0].evidence
    text = found.findings[0].title + found.findings[0].cause + found.findings[0].fix.text
    assert "<" not in text  # every blank of the catalogue's words was filled in


def test_every_cause_of_the_catalogue_is_among_the_cases() -> None:
    assert set(causes(FILE)) == set(CASES)
    assert {cause.layer for cause in causes(FILE).values()} <= set(LAYERS)
    codes = [one.code for one in (*causes(FILE).values(), *causes().values())]
    assert len(codes) == len(set(codes))


def test_the_mend_of_a_reservation_lets_all_fit_and_is_not_above_the_limit() -> None:
    evidence = CASES["reservation-fits-nowhere"]()
    (command,) = diagnose(evidence).findings[0].fix.commands
    assert command == "make swarm-up WORKERS=3 WORKER_MEMORY_RESERVATION=2048M"
    many = replace(evidence, wanted=30)
    assert diagnose(many).findings[0].fix.commands == ("make swarm-up WORKERS=3 WORKER_MEMORY_RESERVATION=737M",)


def test_what_failed_long_ago_and_was_mended_is_no_finding() -> None:
    base = failing()
    old = NOW - timedelta(minutes=6)
    tasks = tuple(replace(one, at=old) if one.state == "failed" else one for one in fleet_of(base).tasks)
    again = (*tasks, task("locust-worker", 3, 2, id="new"))
    assert diagnose(replace(changed(base, tasks=again), registered=3)).findings == ()


def test_an_image_that_has_come_meanwhile_is_not_missing() -> None:
    base = missing_image()
    tasks = (*fleet_of(base).tasks, task("locust-worker", 3, 3, id="new"))
    assert diagnose(replace(changed(base, tasks=tasks), registered=3)).findings == ()


def test_two_independent_faults_are_two_findings() -> None:
    base = missing_image()
    seen = (base.nodes[0], replace(base.nodes[1], master_error="connection refused"), base.nodes[2])
    assert [finding.slug for finding in diagnose(replace(base, nodes=seen)).findings] == [
        "image-missing",
        "master-port-filtered",
    ]


def test_a_swarm_whose_master_does_not_say_who_is_registered_is_not_called_well() -> None:
    found = diagnose(replace(well(), registered=None, master_answer="no answer in time"))
    assert found.findings == ()
    shown = render.as_text(found, render.Style(100))
    assert "All is well" not in shown
    assert "Could not be checked: registered (the master does not answer: no answer in time)" in shown
