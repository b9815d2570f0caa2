"""Diagnose a stack on a Swarm: each check reads the evidence and returns the causes it found. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from sidecar.common.units import GIB, MIB, gibibytes, plural
from sidecar.diagnose import catalogue
from sidecar.diagnose.catalogue import Cause
from sidecar.diagnose.judge import finding_of, judged, ranked, summary_of
from sidecar.diagnose.rule import FoundCause, Outcome, Rule
from sidecar.engine.swarm_manager import MONITOR, TaskFacts, spread
from sidecar.model.finding import Confidence, Diagnosis, Finding, FindingEvidence
from sidecar.model.incident import Severity
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings.model import project_word
from sidecar.swarm.evidence import ClusterEvidence

FILE = Path(__file__).with_name("catalogue.yaml")
_NO_IMAGE = re.compile(r"No such image: (?P<image>\S+)")
_NO_ROOM = re.compile(r"insufficient resources")
_NOT_ALLOWED = re.compile(r"scheduling constraints not satisfied")
_KEPT_FREE = 0.9  # at most this share of a node's memory is for reservations
_LOOPS, _LATELY = 3, timedelta(minutes=5)  # a loop: this many failed tasks of one service within this time
_STOPPED = frozenset({"paused", "rollback_paused"})
_OF_ONE_NODE = frozenset({"sidecar-silent", "master-port-filtered"})
_NOTHING = "there is nothing to check"


def diagnose(evidence: ClusterEvidence) -> Diagnosis:
    """Return the diagnosis of a Swarm, as `make diagnose` does for one machine."""
    checks, causes = judged((_MANAGER, *RULES) if evidence.refused else RULES, evidence)
    known = catalogue.causes(FILE)
    findings = ranked([_finding(cause, evidence) for cause in causes], known, _is_related)
    return Diagnosis(
        project=evidence.project,
        at=evidence.at,
        seconds=evidence.seconds,
        summary=summary_of(checks, findings),
        findings=findings,
        checks=checks,
        workers=None if evidence.refused else len(evidence.fleet.running(WORKER)),
        connected=evidence.registered,
    )


def _is_related(cause: Cause, earlier: Finding, later: Finding) -> bool:
    """Return whether a finding explains another. A finding about one node needs a cause on that node."""
    is_same = bool(set(earlier.affects) & set(later.affects))
    return later.slug not in _OF_ONE_NODE or is_same or cause.slug == "no-node-allowed"


def _finding(cause: FoundCause, evidence: ClusterEvidence) -> Finding:
    # The last `make swarm-up` with some settings changed. The value "" stands for a setting's default.
    words = [word for word in evidence.up_words if word.strip("'").partition("=")[0] not in cause.up]
    up = " ".join(["make swarm-up", *words, *(f"{name}={value}" for name, value in cause.up.items())])
    values = {"project": project_word(evidence.project), "up": up, **cause.values}
    return finding_of(catalogue.causes(FILE)[cause.slug], cause, values)


# ---- checks ----------------------------------------------------------------------------------------------------------


def _manager(evidence: ClusterEvidence) -> Outcome:
    seen = FindingEvidence("docker info", evidence.refused, "a manager of a Swarm")
    values = {"what": evidence.refused, "fix": evidence.refused_fix}
    return Outcome(evidence.refused, (FoundCause("no-manager", (seen,), values=values),))


def _nodes(evidence: ClusterEvidence) -> Outcome:
    nodes = evidence.fleet.nodes
    causes = tuple(
        FoundCause(
            "node-down",
            (FindingEvidence(f"state of {node.name} (docker node ls)", node.state, "ready"),),
            (node.name,),
            {"node": node.name, "address": node.address},
        )
        for node in nodes
        if node.state != "ready"
    )
    able = sum(node.takes_tasks for node in nodes)
    resting = "".join(f"; {node.name} is set to {node.availability}" for node in nodes if node.availability != "active")
    return Outcome(f"{able} of {plural(len(nodes), 'node')} take tasks{resting}", causes)


def _deployed(evidence: ClusterEvidence) -> Outcome:
    if evidence.fleet.services:
        return Outcome(plural(len(evidence.fleet.services), "service"))
    seen = FindingEvidence(f"services of {evidence.project} (docker stack services)", "no service", "five services")
    return Outcome("no service", (FoundCause("stack-not-deployed", (seen,), values={"stack": evidence.project}),))


def _images(evidence: ClusterEvidence) -> Outcome:
    """Check for tasks that were rejected because their node lacks the current image."""
    fleet = evidence.fleet
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
    causes = tuple(
        FoundCause("image-missing", (_task_seen(task, on=node),), (node, task.service), {"image": image, "node": node})
        for (image, node), task in sorted(lacking.items())
    )
    return Outcome(f"missing: {plural(len(causes), 'image')}" if causes else "every node has its images", causes)


def _task_seen(task: TaskFacts, on: str = "") -> FindingEvidence:
    where = f" on {on}" if on else ""
    return FindingEvidence(f"task of {task.service}{where} (docker service ps)", task.error, "running", task.at)


def _is_late(task: TaskFacts, evidence: ClusterEvidence) -> bool:
    """Return whether a task changed lately. Swarm lists failed tasks long after the fault was fixed."""
    return task.at is not None and evidence.at - task.at < _LATELY


def _placement(evidence: ClusterEvidence) -> Outcome:
    """Check for waiting tasks that fit on no node, or may run on no node."""
    tasks = evidence.fleet.tasks
    waiting = [task for task in tasks if task.desired == "running" and task.state == "pending" and task.error]
    causes = (*_no_room(evidence, waiting), *_not_allowed(waiting))
    return Outcome(
        f"waiting for a node: {plural(len(waiting), 'task')}" if waiting else "every task has a node", causes
    )


def _no_room(evidence: ClusterEvidence, waiting: Sequence[TaskFacts]) -> Iterator[FoundCause]:
    nodes = [node for node in evidence.fleet.nodes if node.takes_tasks]
    memory = ", ".join(f"{node.name} {gibibytes(node.memory_bytes)}" for node in nodes)
    counts = Counter(task.service for task in waiting if _NO_ROOM.search(task.error))
    for name, count in sorted(counts.items()):
        service = next(service for service in evidence.fleet.services if service.name == name)
        task = next(task for task in waiting if task.service == name)
        reserved = f"{gibibytes(service.reserved_bytes)}"
        fits = _reservation_that_fits(evidence, service.limit_bytes)
        yield FoundCause(
            "reservation-fits-nowhere",
            (
                _task_seen(task),
                FindingEvidence(
                    f"memory reserved for each task of {name}",
                    reserved,
                    f"unreserved memory on a node (total: {memory})",
                ),
            ),
            (name,),
            {
                "count": plural(count, "task"),
                "service": name,
                "reserved": reserved,
                "fits": f"WORKER_MEMORY_RESERVATION={fits}",
            },
            up={"WORKER_MEMORY_RESERVATION": fits} if name == WORKER else {},
        )


def _reservation_that_fits(evidence: ClusterEvidence, limit: int) -> str:
    """Return the largest reservation with which all workers fit if spread evenly, up to their limit."""
    able = [node.memory_bytes for node in evidence.fleet.nodes if node.takes_tasks and node.memory_bytes]
    on_each = -(-evidence.wanted // max(1, len(able)))
    room = int(min(able, default=GIB) * _KEPT_FREE / max(1, on_each))
    return f"{max(16, min(room, limit or room) // MIB)}M"


def _not_allowed(waiting: Sequence[TaskFacts]) -> Iterator[FoundCause]:
    for service in sorted({task.service for task in waiting if _NOT_ALLOWED.search(task.error)}):
        task = next(task for task in waiting if task.service == service)
        values = {"service": service, "error": task.error}
        yield FoundCause("no-node-allowed", (_task_seen(task),), (service,), values, up={"SWARM_MASTER_NODE": ""})


def _tasks(evidence: ClusterEvidence) -> Outcome:
    """Check for services whose tasks fail repeatedly, for a reason that no other check knows."""
    fleet = evidence.fleet
    failed: dict[str, list[TaskFacts]] = {}
    for task in fleet.tasks:
        if _is_late(task, evidence) and task.state in ("failed", "rejected") and not _NO_IMAGE.search(task.error):
            failed.setdefault(task.service, []).append(task)
    causes = []
    for service, tasks in sorted(failed.items()):
        waited_for = _places(fleet.wanted(service)) - _places(fleet.running(service))
        if len(tasks) < _LOOPS or not waited_for & _places(tasks):
            continue  # every failed task runs again now, or is no longer needed
        last = max(tasks, key=lambda task: task.at.timestamp() if task.at else 0.0)
        error = last.error or f"exit code {last.exit_code}"
        seen = FindingEvidence(
            f"last of {plural(len(tasks), 'failed task')} of {service} (docker service ps)", error, "running", last.at
        )
        values = {"service": service, "error": error, "stack": evidence.project}
        causes.append(FoundCause("tasks-failing", (seen,), (service,), values))
    return Outcome(f"{plural(sum(map(len, failed.values())), 'task')} failed in the last five minutes", tuple(causes))


def _places(tasks: Iterable[TaskFacts]) -> set[tuple[int | None, str]]:
    """Return the places of tasks in their service: a number, or a node for a service with one task on each node."""
    return {(task.slot, task.node_id if task.slot is None else "") for task in tasks}


def _versions(evidence: ClusterEvidence) -> Outcome:
    """Check whether master and workers run the same image."""
    fleet = evidence.fleet
    running = [task for service in (MASTER, WORKER) for task in fleet.running(service)]
    counts = Counter(task.image for task in running)
    if len(counts) <= 1:
        return Outcome(f"master and workers run {next(iter(counts), 'no image')}")
    if any(service.update == "updating" for service in fleet.services):
        return Outcome("an update is running", info=True)
    seen = []
    for image, count in counts.most_common():
        services = sorted({task.service for task in running if task.image == image})
        seen.append(
            FindingEvidence(
                f"image of {plural(count, 'task')} of {' and '.join(services)}", image, "the same image everywhere"
            )
        )
    return Outcome(f"{len(counts)} different images", (FoundCause("versions-differ", tuple(seen), (MASTER, WORKER)),))


def _update(evidence: ClusterEvidence) -> Outcome:
    services = evidence.fleet.services
    causes = []
    for service in services:
        if service.update in _STOPPED:
            text = f"{service.update}: {service.update_message}"
            seen = FindingEvidence(f"update of {service.name} (docker service inspect)", text, "completed")
            values = {"service": service.name, "message": service.update_message}
            causes.append(FoundCause("update-stopped", (seen,), (service.name,), values))
    running = ", ".join(service.name for service in services if service.update == "updating")
    return Outcome(
        f"an update of {running} is running" if running else "no update is running", tuple(causes), info=bool(running)
    )


def _reach(evidence: ClusterEvidence) -> Outcome:
    """Check whether each node can reach the master's port, as that node's own monitor tried."""
    home = evidence.fleet.home(MASTER)
    if home is None:
        return Outcome("no master is running", unknown="no master is running")
    causes = []
    for node in evidence.nodes:
        if error := node.master_error:
            seen = FindingEvidence(f"TCP connection from the monitor of {node.node} to {MASTER}:5557", error, "open")
            values = {"node": node.node, "home": home.name, "error": error}
            causes.append(
                FoundCause("master-port-filtered", (seen,), (node.node,), values, confidence=Confidence.LIKELY)
            )
    tried = sum(not node.error for node in evidence.nodes)
    return Outcome(f"{tried - len(causes)} of {plural(tried, 'answering node')} can reach the master", tuple(causes))


def _registered(evidence: ClusterEvidence) -> Outcome:
    running, registered, wanted = len(evidence.fleet.running(WORKER)), evidence.registered, evidence.wanted
    places = ", ".join(f"{count} on {node}" for node, count in spread(evidence.fleet, WORKER)) or "no worker"
    if registered is None:
        return Outcome(f"the master does not answer: {evidence.master_answer}", unknown=evidence.master_answer)
    if registered >= wanted:
        return Outcome(f"{plural(registered, 'worker')} registered: {places}")
    heard_nothing = "The tasks of all workers run, but some workers did not register at the master."
    seen = (
        FindingEvidence("workers registered at the master", str(registered), str(wanted)),
        FindingEvidence("running worker tasks", f"{running} ({places})", str(wanted)),
    )
    values = {
        "registered": str(registered),
        "running": str(running),
        "wanted": str(wanted),
        "why": heard_nothing if running >= wanted else "Some tasks of the workers do not run.",
        "stack": evidence.project,
    }
    return Outcome(
        f"{registered} of {plural(wanted, 'worker')} registered",
        (FoundCause("workers-not-registered", seen, (WORKER,), values),),
    )


def _sidecars(evidence: ClusterEvidence) -> Outcome:
    running = {task.node_id for task in evidence.fleet.running(MONITOR)}
    there = {node.name for node in evidence.fleet.nodes if node.id in running}
    unreached = "Its task runs, but MONITOR_PORT on that node cannot be reached from here, or the monitor hangs."
    causes = []
    for node in evidence.nodes:
        if node.error:
            seen = FindingEvidence(f"http://{node.address} (monitor of {node.node})", node.error, "its report")
            why = unreached if node.node in there else "Its task does not run on that node."
            values = {"node": node.node, "error": node.error, "stack": evidence.project, "why": why}
            causes.append(FoundCause("sidecar-silent", (seen,), (node.node,), values, severity=Severity.WARN))
    leader = next((node.node for node in evidence.nodes if node.leads), "no node")
    answering = len(evidence.nodes) - len(causes)
    return Outcome(f"{answering} of {plural(len(evidence.nodes), 'monitor')} answer; {leader} leads", tuple(causes))


def _without_manager(evidence: ClusterEvidence) -> str:
    return _NOTHING if evidence.refused else ""


def _without_stack(evidence: ClusterEvidence) -> str:
    return "" if evidence.fleet.services else _NOTHING


_MANAGER = Rule("manager", "host", _manager)
RULES = (
    Rule("nodes", "host", _nodes, _without_manager),
    Rule("deployed", "containers", _deployed, _without_manager),
    Rule("images", "containers", _images, _without_stack),
    Rule("placement", "containers", _placement, _without_stack),
    Rule("tasks", "containers", _tasks, _without_stack),
    Rule("versions", "containers", _versions, _without_stack),
    Rule("update", "containers", _update, _without_stack),
    Rule("reach", "network", _reach, _without_stack),
    Rule("registered", "locust", _registered, _without_stack),
    Rule("sidecars", "monitor", _sidecars, _without_stack),
)
