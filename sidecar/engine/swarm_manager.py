"""Reads nodes, services and tasks from a manager of the Swarm."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sidecar.common.errors import StackError
from sidecar.common.times import docker_time
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.labels import STACK_LABEL

MONITOR = "monitor"
_NO_ADDRESS = frozenset({"", "0.0.0.0", "127.0.0.1", "::"})  # noqa: S104  reported by a node without an address


@dataclass(frozen=True)
class NodeFacts:
    """One machine of the Swarm.

    `state` is ready, down, unknown or disconnected; `availability` active, pause or drain.
    """

    id: str
    name: str
    state: str
    availability: str
    role: str
    address: str
    memory_bytes: int
    cpus: float
    engine: str

    @property
    def takes_tasks(self) -> bool:
        """Return whether Swarm may place a task there now."""
        return self.state == "ready" and self.availability == "active"


@dataclass(frozen=True)
class ServiceFacts:
    """One service: its name without the stack's, its image and its number of replicas (None: one on each node).

    `made_of` changes with every part that its tasks are made of.
    """

    name: str
    image: str
    replicas: int | None
    reserved_bytes: int
    limit_bytes: int
    update: str
    update_message: str
    made_of: str = ""


@dataclass(frozen=True)
class TaskFacts:
    """One task: a planned, running or past container. `desired` is running, or shutdown if it was replaced."""

    id: str
    service: str
    slot: int | None
    node_id: str
    state: str
    desired: str
    error: str
    image: str
    container_id: str
    exit_code: int | None
    at: datetime | None
    made_of: str = ""


@dataclass(frozen=True)
class SwarmState:
    """The Swarm as its manager sees it at one moment, for one stack."""

    nodes: tuple[NodeFacts, ...]
    services: tuple[ServiceFacts, ...]
    tasks: tuple[TaskFacts, ...]

    def node(self, node_id: str) -> NodeFacts | None:
        """Return a node by its id."""
        return next((node for node in self.nodes if node.id == node_id), None)

    def wanted(self, service: str) -> tuple[TaskFacts, ...]:
        """Return the tasks of a service that Swarm is to run."""
        return tuple(task for task in self.tasks if task.service == service and task.desired == "running")

    def running(self, service: str) -> tuple[TaskFacts, ...]:
        """Return the running tasks of a service."""
        return tuple(task for task in self.wanted(service) if task.state == "running")

    def home(self, service: str) -> NodeFacts | None:
        """Return the node on which the one task of a service runs."""
        return next((self.node(task.node_id) for task in self.running(service)), None)


class Manager:
    """Reads the Swarm through one of its managers."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def check(self) -> None:
        """Check that the engine is a manager.

        Raises:
            StackError: the engine is in no Swarm, or is a worker of one.

        """
        swarm = self._engine.info().get("Swarm") or {}
        if swarm.get("LocalNodeState") != "active":
            raise StackError(
                f"this Docker engine is in no Swarm (it is {swarm.get('LocalNodeState') or 'too old for Swarm'})",
                where=str(self._engine.socket_path),
                fix="run docker swarm init, then on each other machine the `docker swarm join` that it prints",
            )
        if not swarm.get("ControlAvailable"):
            others = ", ".join(str(manager.get("Addr", "?")) for manager in swarm.get("RemoteManagers") or [])
            raise StackError(
                "this Docker engine is a worker of the Swarm",
                wanted="a manager",
                fix=f"run this on a manager{f' ({others})' if others else ''}",
            )

    def own_node(self) -> str:
        """Return the id of this manager's node."""
        return str((self._engine.info().get("Swarm") or {}).get("NodeID") or "")

    def fleet(self, stack: str) -> SwarmState:
        """Read all nodes, and the services and tasks of one stack."""
        filters = {"label": [f"{STACK_LABEL}={stack}"]}
        services = self._engine.services(filters)
        names = {str(service["ID"]): _service_name(service, stack) for service in services}
        tasks = self._engine.tasks(filters)
        return SwarmState(
            tuple(sorted(map(_node, self._engine.nodes()), key=lambda node: node.name)),
            tuple(sorted((_service(service, stack) for service in services), key=lambda facts: facts.name)),
            tuple(_task(task, names) for task in tasks if str(task.get("ServiceID")) in names),
        )


def _node(document: Mapping[str, Any]) -> NodeFacts:
    about, spec, status = document.get("Description") or {}, document.get("Spec") or {}, document.get("Status") or {}
    resources = about.get("Resources") or {}
    return NodeFacts(
        id=str(document["ID"]),
        name=str(about.get("Hostname") or document["ID"][:12]),
        state=str(status.get("State") or "unknown"),
        availability=str(spec.get("Availability") or "active"),
        role=str(spec.get("Role") or "worker"),
        address=_address(status, document.get("ManagerStatus") or {}),
        memory_bytes=int(resources.get("MemoryBytes") or 0),
        cpus=int(resources.get("NanoCPUs") or 0) / 1e9,
        engine=str((about.get("Engine") or {}).get("EngineVersion") or ""),
    )


def _address(status: Mapping[str, Any], manager: Mapping[str, Any]) -> str:
    """Return the address of a node. If a manager reports 0.0.0.0, the address of its raft port is right."""
    own = str(status.get("Addr") or "")
    return own if own not in _NO_ADDRESS else str(manager.get("Addr") or "").rpartition(":")[0].strip("[]") or own


def _service_name(document: Mapping[str, Any], stack: str) -> str:
    return str((document.get("Spec") or {}).get("Name") or "").removeprefix(f"{stack}_")


def _service(document: Mapping[str, Any], stack: str) -> ServiceFacts:
    spec = document.get("Spec") or {}
    template = spec.get("TaskTemplate") or {}
    replicated = (spec.get("Mode") or {}).get("Replicated")
    update = document.get("UpdateStatus") or {}
    resources = template.get("Resources") or {}
    return ServiceFacts(
        name=_service_name(document, stack),
        image=str((template.get("ContainerSpec") or {}).get("Image") or ""),
        replicas=None if replicated is None else int(replicated.get("Replicas") or 0),
        reserved_bytes=int((resources.get("Reservations") or {}).get("MemoryBytes") or 0),
        limit_bytes=int((resources.get("Limits") or {}).get("MemoryBytes") or 0),
        update=str(update.get("State") or ""),
        update_message=str(update.get("Message") or ""),
        made_of=_made_of(template),
    )


def _task(document: Mapping[str, Any], names: Mapping[str, str]) -> TaskFacts:
    status = document.get("Status") or {}
    container = status.get("ContainerStatus") or {}
    code = container.get("ExitCode")
    return TaskFacts(
        id=str(document["ID"]),
        service=names[str(document["ServiceID"])],
        slot=int(document["Slot"]) if document.get("Slot") else None,
        node_id=str(document.get("NodeID") or ""),
        state=str(status.get("State") or "new"),
        desired=str(document.get("DesiredState") or ""),
        error=str(status.get("Err") or ""),
        image=str(((document.get("Spec") or {}).get("ContainerSpec") or {}).get("Image") or ""),
        container_id=str(container.get("ContainerID") or ""),
        exit_code=code if isinstance(code, int) else None,
        at=docker_time(status.get("Timestamp")),
        made_of=_made_of(document.get("Spec") or {}),
    )


def _made_of(template: Mapping[str, Any]) -> str:
    """Return a fingerprint of what a task is made of: image, environment, files, and the count of forced updates."""
    parts = [template.get("ContainerSpec"), template.get("ForceUpdate")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def spread(fleet: SwarmState, service: str) -> Sequence[tuple[str, int]]:
    """Return how many tasks of a service run on each node that has some."""
    places = ((task.node_id, fleet.node(task.node_id)) for task in fleet.running(service))
    return sorted(Counter(node.name if node else node_id[:12] for node_id, node in places).items())
