"""The checks: each looks at the evidence, and says what it saw and which causes it found. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sidecar.diagnose.rule import Found, Outcome
from sidecar.engine.swarm_manager import MASTER, MONITOR, WORKER, SwarmState, TaskFacts, spread
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity
from sidecar.swarm.diagnose.evidence import ClusterEvidence

_NO_IMAGE = re.compile(r"No such image: (?P<image>\S+)")
_NO_ROOM = re.compile(r"insufficient resources")
_NOT_ALLOWED = re.compile(r"scheduling constraints not satisfied")
_MIB, _GIB = 1 << 20, 1 << 30
_KEPT_FREE = 0.9  # of a node's memory, at most, is for reservations
_LOOPS, _LATELY = 3, timedelta(minutes=5)  # so many tasks of one service that failed within this time
_STOPPED = frozenset({"paused", "rollback_paused"})


@dataclass(frozen=True)
class SwarmRule:
    """One check: its name, its layer, and how it judges; `needs_stack` when it looks at services."""

    name: str
    layer: str
    judge: Callable[[ClusterEvidence, SwarmState], Outcome]
    needs_stack: bool = True


def _nodes(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    del evidence
    down = [node for node in fleet.nodes if node.state != "ready"]
    found = tuple(
        Found(
            "node-down",
            (FindingEvidence(f"docker node ls: {one.name}", one.state, "ready"),),
            (one.name,),
            {"node": one.name, "address": one.address},
        )
        for one in down
    )
    able = sum(node.takes_tasks for node in fleet.nodes)
    resting = [f"{node.name} is set to {node.availability}" for node in fleet.nodes if node.availability != "active"]
    return Outcome(f"{able} of {len(fleet.nodes)} nodes take tasks{''.join(f'; {text}' for text in resting)}", found)


def _deployed(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    if fleet.services:
        return Outcome(f"{len(fleet.services)} services")
    seen = FindingEvidence("docker stack services", f"none of {evidence.project}", "the stack's five services")
    return Outcome("no service", (Found("stack-not-deployed", (seen,), values={"stack": evidence.project}),))


def _images(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    """Tasks that were rejected because their node has not got the image, of the image that is wanted now."""
    wanted = {service.image for service in fleet.services}
    there = {(task.image, task.node_id) for task in fleet.tasks if task.state == "running"}
    lacking: dict[tuple[str, str], TaskFacts] = {}
    for task in fleet.tasks:
        match = _NO_IMAGE.search(task.error)
        node = fleet.node(task.node_id)
        if match is None or node is None or not _is_late(task, evidence):
            continue
        if match["image"] in wanted and (match["image"], task.node_id) not in there:
            lacking.setdefault((match["image"], node.name), task)
    found = tuple(
        Found(
            "image-missing",
            (FindingEvidence(f"docker service ps: {task.service} on {node}", task.error, "running", task.at),),
            (node, task.service),
            {"image": image, "node": node},
        )
        for (image, node), task in sorted(lacking.items())
    )
    return Outcome("every node has its images" if not found else f"{len(found)} images are missing", found)


def _is_late(task: TaskFacts, evidence: ClusterEvidence) -> bool:
    """Whether it came to its state lately: Swarm remembers tasks long after what they failed of was mended."""
    return task.at is not None and evidence.at - task.at < _LATELY


def _placement(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    """Tasks that wait because they fit nowhere, or may run nowhere."""
    waiting = [task for task in fleet.tasks if task.desired == "running" and task.state == "pending" and task.error]
    found = [*_no_room(evidence, fleet, waiting), *_not_allowed(waiting)]
    return Outcome(f"{len(waiting)} tasks wait for a place" if waiting else "every task has a place", tuple(found))


def _no_room(evidence: ClusterEvidence, fleet: SwarmState, waiting: list[TaskFacts]) -> Iterator[Found]:
    counts = Counter(task_facts.service for task_facts in waiting if _NO_ROOM.search(task_facts.error))
    for service, count in sorted(counts.items()):
        about = next(one for one in fleet.services if one.name == service)
        error = next(task_facts for task_facts in waiting if task_facts.service == service)
        fits = _reservation_that_fits(fleet, evidence.wanted, about.limit_bytes)
        memory = ", ".join(
            f"{node.name} {node.memory_bytes / _GIB:.1f} GiB" for node in fleet.nodes if node.takes_tasks
        )
        yield Found(
            "reservation-fits-nowhere",
            (
                FindingEvidence(f"docker service ps: {service}", error.error, "running", error.at),
                FindingEvidence(
                    f"memory reserved for each of {service}", f"{about.reserved_bytes / _GIB:.1f} GiB", memory
                ),
            ),
            (service,),
            {
                "count": str(count),
                "service": service,
                "reserved": f"{about.reserved_bytes / _GIB:.1f} GiB",
                "fits": f"WORKER_MEMORY_RESERVATION={fits}",
            },
            up={"WORKER_MEMORY_RESERVATION": fits} if service == WORKER else {},
        )


def _reservation_that_fits(fleet: SwarmState, workers: int, limit: int) -> str:
    """The largest reservation with which all workers fit, spread evenly; not above their limit."""
    able = [node.memory_bytes for node in fleet.nodes if node.takes_tasks and node.memory_bytes]
    each = -(-workers // max(1, len(able)))
    least = min(able, default=_GIB)
    room = int(least * _KEPT_FREE / max(1, each))
    return f"{max(16, min(room, limit or room) // _MIB)}M"


def _not_allowed(waiting: list[TaskFacts]) -> Iterator[Found]:
    for service in sorted({task_facts.service for task_facts in waiting if _NOT_ALLOWED.search(task_facts.error)}):
        task = next(task_facts for task_facts in waiting if task_facts.service == service)
        yield Found(
            "no-node-allowed",
            (FindingEvidence(f"docker service ps: {service}", task.error, "running", task.at),),
            (service,),
            {"service": service, "error": task.error},
            up={"SWARM_MASTER_NODE": ""},
        )


def _tasks(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    """Services whose tasks fail one after the other, of another reason than those that other checks know."""
    failed: dict[str, list[TaskFacts]] = {}
    for task in fleet.tasks:
        known = _NO_IMAGE.search(task.error)
        if _is_late(task, evidence) and task.state in ("failed", "rejected") and not known:
            failed.setdefault(task.service, []).append(task)
    found = []
    for service, tasks in sorted(failed.items()):
        waited_for = _places(fleet.wanted(service)) - _places(fleet.running(service))
        if len(tasks) < _LOOPS or not waited_for & _places(tasks):
            continue  # all that failed has run again since, or is wanted no more
        last = max(tasks, key=lambda task: task.at.timestamp() if task.at else 0.0)
        error = last.error or f"exit code {last.exit_code}"
        found.append(
            Found(
                "tasks-failing",
                (FindingEvidence(f"docker service ps: {len(tasks)} tasks of {service}", error, "running", last.at),),
                (service,),
                {"service": service, "error": error, "stack": evidence.project},
            )
        )
    return Outcome(f"{sum(map(len, failed.values()))} tasks failed in the last five minutes", tuple(found))


def _places(tasks: Iterable[TaskFacts]) -> set[tuple[int | None, str]]:
    """Which of a service's places these tasks are for: a number, or a node where there is one on each."""
    return {(task.slot, task.node_id if task.slot is None else "") for task in tasks}


def _versions(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    """The images that really run, by service: master and workers must be of one."""
    del evidence
    images: dict[str, set[str]] = {}
    for service in (MASTER, WORKER):
        for task in fleet.running(service):
            images.setdefault(task.image, set()).add(service)
    if len(images) <= 1:
        return Outcome(f"master and workers run {next(iter(images), 'nothing')}")
    if any(service.update == "updating" for service in fleet.services):
        return Outcome("an update is under way", info=True)
    counts = Counter(task.image for service in (MASTER, WORKER) for task in fleet.running(service))
    seen = tuple(
        FindingEvidence(f"running {' and '.join(sorted(images[image]))}", f"{count} of {image}", "one image for all")
        for image, count in counts.most_common()
    )
    return Outcome(f"{len(images)} images", (Found("versions-differ", seen, (MASTER, WORKER)),))


def _update(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    del evidence
    stopped = [service for service in fleet.services if service.update in _STOPPED]
    found = tuple(
        Found(
            "update-stopped",
            (
                FindingEvidence(
                    f"docker service inspect: {one.name}", f"{one.update}: {one.update_message}", "completed"
                ),
            ),
            (one.name,),
            {"service": one.name, "message": one.update_message},
        )
        for one in stopped
    )
    going = [service.name for service in fleet.services if service.update == "updating"]
    return Outcome(f"under way: {', '.join(going)}" if going else "no update is under way", found, info=bool(going))


def _reach(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    """Whether the master's port can be reached from each node, as that node's own sidecar tried."""
    home = fleet.home(MASTER)
    if home is None:
        return Outcome("no master runs", unknown="no master runs")
    bad = [node for node in evidence.nodes if node.master_error]
    found = tuple(
        Found(
            "master-port-filtered",
            (FindingEvidence(f"the sidecar of {one.node} → {MASTER}:5557", one.master_error or "", "a connection"),),
            (one.node,),
            {"node": one.node, "home": home.name, "error": one.master_error or ""},
            confidence=Confidence.LIKELY,
        )
        for one in bad
    )
    tried = sum(1 for node in evidence.nodes if not node.error)
    return Outcome(f"{tried - len(bad)} of {tried} nodes that answer reach the master", found)


def _registered(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    running = len(fleet.running(WORKER))
    places = ", ".join(f"{count} on {node}" for node, count in spread(fleet, WORKER)) or "none runs"
    if evidence.registered is None:
        return Outcome(f"the master does not say: {evidence.master_answer}", unknown=evidence.master_answer)
    if evidence.registered >= evidence.wanted:
        return Outcome(f"{evidence.registered} registered: {places}")
    why = (
        "Their tasks run, and the master has not heard of them."
        if running >= evidence.wanted
        else "Not all of their tasks run."
    )
    found = Found(
        "workers-not-registered",
        (
            FindingEvidence("workers that the master counts", str(evidence.registered), str(evidence.wanted)),
            FindingEvidence("worker tasks that run", f"{running} ({places})", str(evidence.wanted)),
        ),
        (WORKER,),
        {
            "registered": str(evidence.registered),
            "running": str(running),
            "wanted": str(evidence.wanted),
            "why": why,
            "stack": evidence.project,
        },
    )
    return Outcome(f"{evidence.registered} of {evidence.wanted}", (found,))


def _sidecars(evidence: ClusterEvidence, fleet: SwarmState) -> Outcome:
    running = {one.node_id for one in fleet.running(MONITOR)}
    names = {node.id: node.name for node in fleet.nodes}
    there = {names.get(one, "") for one in running}
    found = tuple(
        Found(
            "sidecar-silent",
            (FindingEvidence(f"http://{node.address} of {node.node}", node.error, "its word"),),
            (node.node,),
            {
                "node": node.node,
                "error": node.error,
                "stack": evidence.project,
                "why": "Its task runs: the port of MONITOR_PORT on that node cannot be reached from here, or it hangs."
                if node.node in there
                else "Its task does not run there.",
            },
            severity=Severity.WARN,
        )
        for node in evidence.nodes
        if node.error
    )
    answering = sum(1 for node in evidence.nodes if not node.error)
    leader = next((node.node for node in evidence.nodes if node.leads), None)
    leads = f"; {leader} leads" if leader else "; none leads"
    return Outcome(f"{answering} of {len(evidence.nodes)} sidecars answer{leads}", found)


RULES = (
    SwarmRule("nodes", "host", _nodes, needs_stack=False),
    SwarmRule("deployed", "containers", _deployed, needs_stack=False),
    SwarmRule("images", "containers", _images),
    SwarmRule("placement", "containers", _placement),
    SwarmRule("tasks", "containers", _tasks),
    SwarmRule("versions", "containers", _versions),
    SwarmRule("update", "containers", _update),
    SwarmRule("reach", "network", _reach),
    SwarmRule("registered", "locust", _registered),
    SwarmRule("sidecars", "monitor", _sidecars),
)
