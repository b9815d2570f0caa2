"""Whose container it is, and what an inspect says about its life and death. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from sidecar.engine.payload import (
    NUMBER_LABEL,
    ONE_OFF_LABEL,
    PROJECT_LABEL,
    ROLE_LABEL,
    SERVICE_LABEL,
    Payload,
)
from sidecar.model.signal import Inspection, Owner
from sidecar.model.text import clean
from sidecar.model.times import parse_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_YEAR = 1  # Go's zero time: Docker's way to say "never"
_SECOND_NS = 1_000_000_000


def owner(name: str, labels: Mapping[str, object]) -> Owner:
    """Read an owner from a container's name and its labels; an event carries the labels among its attributes."""
    number = str(labels.get(NUMBER_LABEL) or "")
    return Owner(
        name=clean(name.lstrip("/")),
        project=_label(labels, PROJECT_LABEL),
        service=_label(labels, SERVICE_LABEL),
        index=int(number) if number.isascii() and number.isdigit() else None,
        helper=str(labels.get(ONE_OFF_LABEL) or "").lower() == "true" or ROLE_LABEL in labels,
    )


def inspection(payload: Payload, at_ns: int) -> Inspection:
    """Read `GET /containers/{id}/json`, answered at `at_ns`."""
    state, host = payload["State"], payload.get("HostConfig") or {}
    status = str(state.get("Status") or "unknown")
    finished_ns = _nanoseconds(state.get("FinishedAt"))
    return Inspection(
        at_ns=at_ns,
        container_id=payload["Id"],
        owner=owner(str(payload.get("Name") or ""), (payload.get("Config") or {}).get("Labels") or {}),
        state=status,
        started_ns=_nanoseconds(state.get("StartedAt")),
        finished_ns=finished_ns,
        # A running container still shows the last end's time, and 0 as the code of an end that has not come.
        exit_code=state.get("ExitCode") if finished_ns and status not in ("running", "paused") else None,
        oom_killed=bool(state.get("OOMKilled")),
        restarts=payload.get("RestartCount") or 0,
        memory_limit_bytes=host.get("Memory") or None,
    )


def owners(entries: Iterable[Payload]) -> tuple[tuple[str, Owner], ...]:
    """Read `GET /containers/json` of the whole engine: the full id and the owner of each container in it."""
    return tuple(
        (entry["Id"], owner((entry.get("Names") or [entry["Id"][:12]])[0], entry.get("Labels") or {}))
        for entry in entries
    )


def _label(labels: Mapping[str, object], name: str) -> str | None:
    return clean(str(labels.get(name) or "")) or None


def _nanoseconds(text: object) -> int | None:
    """Read Docker's RFC 3339 time to the nanosecond; None for "never" and for what is no time.

    `datetime` holds microseconds only, and an incident's identity is made of the whole.
    """
    if not isinstance(text, str):
        return None
    try:
        moment = parse_time(text)
    except ValueError:
        return None
    if moment.year == _NEVER_YEAR:
        return None
    whole = moment.replace(microsecond=0) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * _SECOND_NS + _fraction_ns(text)


def _fraction_ns(text: str) -> int:
    _, point, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return int(digits[:9].ljust(9, "0")) if point and digits else 0
