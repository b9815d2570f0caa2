"""One line of the engine's event stream, read into an Event. Pure."""

from __future__ import annotations

import json

from sidecar.engine.inspection import owner
from sidecar.engine.payload import Payload
from sidecar.model.signal import Event

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
FILTERS = json.dumps({"type": ["container"], "event": list(VERBS)}, separators=(",", ":"))


def parse_event(payload: Payload, *, raw: str = "", received_ns: int = 0) -> Event | None:
    """Read one event; None for what is not a container's or not one of our verbs.

    A container's labels come among the attributes and win over Docker's own: a label `exitCode` may hold anything.
    """
    action, _, health = str(payload.get("Action") or "").partition(":")
    actor = payload.get("Actor") or {}
    if payload.get("Type") != "container" or action not in VERBS or not actor.get("ID"):
        return None
    attributes = actor.get("Attributes") or {}
    return Event(
        ns=event_ns(payload),
        action=action,
        container_id=str(actor["ID"]),
        owner=owner(str(attributes.get("name") or ""), attributes),
        exit_code=_number(attributes.get("exitCode")) if action == "die" else None,
        signal=_number(attributes.get("signal")) if action == "kill" else None,
        health=health.strip() or None,
        received_ns=received_ns,
        raw=raw,
    )


def parse_line(line: bytes, received_ns: int) -> Event | None:
    """Read one line of the stream; None for what is no event of ours, or no JSON object at all."""
    payload = read_line(line)
    return parse_event(payload, raw=line.decode("utf-8", "replace"), received_ns=received_ns) if payload else None


def read_line(line: bytes) -> Payload | None:
    """Read the JSON object of one line; None for anything else: one bad line must not end the stream."""
    try:
        payload = json.loads(line)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def event_ns(payload: Payload) -> int:
    """Return when the event happened, in nanoseconds since 1970."""
    return int(payload.get("timeNano") or 0) or int(payload.get("time") or 0) * 1_000_000_000


def _number(value: object) -> int | None:
    text = str(value or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None
