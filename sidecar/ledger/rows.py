"""Events and incidents as rows of ledger.db, there and back."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sidecar.common.times import micros
from sidecar.model import document
from sidecar.model.document import DocumentError
from sidecar.model.incident import Incident
from sidecar.model.signal import DockerEvent, Owner

_log = logging.getLogger(__name__)

EVENT_COLUMNS = (
    "container_id, ns, action, name, project, service, number, helper, exit_code, signal, health, received_ns, raw"
)
Value = None | int | float | str
Row = tuple[Value, ...]


def event_row(event: DockerEvent) -> Row:
    """Return the event's values in the order of EVENT_COLUMNS."""
    owner = event.owner
    who = (owner.name, owner.project, owner.service, owner.index, owner.helper)
    end = (event.exit_code, event.signal, event.health)
    return (event.container_id, event.ns, event.action, *who, *end, event.received_ns, event.raw)


def event_of(row: tuple[object, ...]) -> DockerEvent:
    """Read an event back from a row of EVENT_COLUMNS."""
    values: list[object] = list(row)
    container_id, ns, action, name, project, service, index, helper, code, signal, health, received_ns, raw = values
    return DockerEvent(
        ns=_whole(ns),
        action=str(action),
        container_id=str(container_id),
        owner=Owner(str(name), _text(project), _text(service), _maybe(index), bool(helper)),
        exit_code=_maybe(code),
        signal=_maybe(signal),
        health=_text(health),
        received_ns=_whole(received_ns),
        raw=str(raw),
    )


def incident_row(incident: Incident) -> Row:
    """Return the incident's indexed columns and its document, in the order of the table."""
    return (
        incident.id,
        micros(incident.at),
        None if incident.until is None else micros(incident.until),
        incident.state,
        incident.kind,
        incident.project,
        incident.service,
        incident.container_id,
        incident.count,
        incident.helper,
        document.dumps(incident).decode(),
    )


def incidents_of(rows: Iterable[tuple[str, ...]]) -> list[Incident]:
    """Read incidents back from rows of one column, their documents.

    One that this version of the model cannot read is passed over, and logged: it must not hide all the others.
    """
    found = []
    for row in rows:
        try:
            found.append(document.loads_as(Incident, row[0], "incident"))
        except DocumentError as error:
            _log.warning("the ledger holds an incident that cannot be read: %s", error)
    return found


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _maybe(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
