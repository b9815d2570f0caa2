"""One line of the engine's event stream, read into an Event. Pure."""

from __future__ import annotations

import json

from sidecar.common.text import clean
from sidecar.common.times import SECOND_NS
from sidecar.engine.fields import OddAnswerError, Payload, full_id, label, label_number, record
from sidecar.engine.labels import owner
from sidecar.model.signal import DockerEvent

# All that tells of a container's life and death. exec_* is left out: a health check alone makes three of them a time.
VERBS = (
    "create",
    "start",
    "die",
    "oom",
    "kill",
    "stop",
    "restart",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "health_status",
)
_LATEST_NS = 2**63 - 1  # what a column of the journal holds
FILTERS = {"type": ["container"], "event": list(VERBS)}


def parse_event(payload: Payload, *, raw: str = "", received_ns: int = 0) -> DockerEvent | None:
    """Read one event; None for what is not a container's, not one of our verbs, or not of the form of an event.

    A container's labels come among the attributes and win over Docker's own: a label `exitCode` may hold anything.
    Nothing in here may raise: an event that breaks the stream is read again, and breaks it again, for ever.
    """
    action, _, health = label(payload, "Action").partition(":")
    if payload.get("Type") != "container" or action not in VERBS:
        return None
    try:
        actor = record(payload.get("Actor"), "Actor")
        container_id, attributes = full_id(actor.get("ID")), record(actor.get("Attributes"), "Attributes")
    except OddAnswerError:
        return None
    if not (ns := event_ns(payload)):
        return None
    return DockerEvent(
        ns=ns,
        action=action,
        container_id=container_id,
        owner=owner(label(attributes, "name"), attributes),
        exit_code=label_number(attributes, "exitCode") if action == "die" else None,
        signal=label_number(attributes, "signal") if action == "kill" else None,
        health=clean(health.strip()) or None,
        received_ns=received_ns,
        raw=raw,
    )


def parse_line(line: bytes, received_ns: int) -> DockerEvent | None:
    """Read one line of the stream; None for what is no event of ours, or no JSON object at all."""
    payload = read_line(line)
    return parse_event(payload, raw=line.decode("utf-8", "replace"), received_ns=received_ns) if payload else None


def read_line(line: bytes) -> Payload | None:
    """Read the JSON object of one line; None for anything else: one bad line must not end the stream."""
    try:
        payload = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def event_ns(payload: Payload) -> int:
    """Return when the event happened, in nanoseconds since 1970; 0 where it does not say."""
    return _moment(payload.get("timeNano"), 1) or _moment(payload.get("time"), SECOND_NS)


def _moment(value: object, unit_ns: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value * unit_ns if 0 < value * unit_ns <= _LATEST_NS else 0
