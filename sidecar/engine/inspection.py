"""Whose container it is, and what an inspect says about its life and death. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.common.text import clean
from sidecar.common.times import docker_nanos
from sidecar.engine.fields import Payload, full_id, record, text, whole
from sidecar.engine.identity import identity, is_helper
from sidecar.engine.payload import exit_code, first_name, labels_of, memory_limit
from sidecar.model.signal import Inspection, Owner


def owner(name: str, labels: Payload) -> Owner:
    """Read an owner from a container's name and its labels; an event carries the labels among its attributes."""
    whose = identity(name, labels)
    return Owner(whose.name, whose.project, whose.service, whose.index, is_helper(labels))


def inspection(payload: Payload, at_ns: int) -> Inspection:
    """Read `GET /containers/{id}/json`, answered at `at_ns`.

    Raises:
        OddAnswerError: it is not what Docker answers.

    """
    state, host = record(payload.get("State"), "State"), record(payload.get("HostConfig"), "HostConfig")
    status = clean(text(state.get("Status"), "Status")) or "unknown"
    finished_ns = docker_nanos(state.get("FinishedAt"))
    labels = labels_of(record(payload.get("Config"), "Config").get("Labels"))
    return Inspection(
        at_ns=at_ns,
        container_id=full_id(payload.get("Id")),
        owner=owner(text(payload.get("Name"), "Name"), labels),
        state=status,
        started_ns=docker_nanos(state.get("StartedAt")),
        finished_ns=finished_ns,
        # A running container still shows the last end's time, and 0 as the code of an end that has not come.
        exit_code=exit_code(state) if finished_ns and status not in ("running", "paused") else None,
        oom_killed=state.get("OOMKilled") is True,
        restarts=whole(payload.get("RestartCount"), "RestartCount"),
        memory_limit_bytes=memory_limit(host),
    )


def owners(entries: Iterable[Payload]) -> tuple[tuple[str, Owner], ...]:
    """Read `GET /containers/json` of the whole engine: the full id and the owner of each container in it.

    Raises:
        OddAnswerError: a container without an id.

    """
    return tuple(
        (full_id(entry.get("Id")), owner(first_name(entry), labels_of(entry.get("Labels")))) for entry in entries
    )
