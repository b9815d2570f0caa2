"""One message to a person, and its words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.naming import KIND_NAMES

MOST_LINES = 10
_MOST_TEXT = 300

_NAMES: dict[IncidentKind, tuple[str, str]] = {
    IncidentKind.OOM_KILL: ("OOM kill", "OOM kills"),
    IncidentKind.RESTART: ("restart", "restarts"),
    IncidentKind.EXIT: ("container ended", "containers ended"),
    IncidentKind.UNHEALTHY: ("unhealthy container", "unhealthy containers"),
    IncidentKind.WORKER_LOST: ("worker lost", "workers lost"),
    IncidentKind.WORKER_LEFT: ("worker left", "workers left"),
    IncidentKind.MASTER_RESTART: ("restart of the master", "restarts of the master"),
    IncidentKind.THROTTLED: ("throttled container", "throttled containers"),
    IncidentKind.MEMORY_HIGH: ("container near its memory limit", "containers near their memory limit"),
    IncidentKind.FORECAST: ("OOM forecast", "OOM forecasts"),
    IncidentKind.FAILURE_RATIO: ("too many failed requests", "times too many failed requests"),
    IncidentKind.RESTART_LOOP: ("restart loop", "restart loops"),
    IncidentKind.UNATTRIBUTED_OOM_KILL: ("unattributed OOM kill", "unattributed OOM kills"),
    IncidentKind.BLIND: ("blind span", "blind spans"),
}
_COUNTED = frozenset(
    {IncidentKind.OOM_KILL, IncidentKind.UNATTRIBUTED_OOM_KILL}
)  # one incident of them may stand for several


class Tone(StrEnum):
    """How a message is to be taken; the values are Apprise's."""

    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One line of a message: an incident that began or happened, or one that is over."""

    incident: Incident
    over: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a title, plain text of a few lines, and a tone."""

    title: str
    body: str
    tone: Tone


def compose(project: str, entries: Sequence[MessageLine]) -> Message:
    """Put one message together; beyond ten lines it says how many more there are."""
    lines = [_line(entry) for entry in entries[:MOST_LINES]]
    if len(entries) > MOST_LINES:
        lines.append(f"… and {len(entries) - MOST_LINES} more")
    return Message(f"[{project}] {_headline(entries)}", "\n".join(lines), _tone(entries))


def _headline(entries: Sequence[MessageLine]) -> str:
    begun = Counter[IncidentKind]()
    for entry in entries:
        if not entry.over:
            begun[entry.incident.kind] += entry.incident.count if entry.incident.kind in _COUNTED else 1
    over = Counter(entry.incident.kind for entry in entries if entry.over)
    if not over:
        return _named(begun)
    return f"{_named(begun)}; over: {_named(over)}" if begun else f"over: {_named(over)}"


def _named(counts: Counter[IncidentKind]) -> str:
    return ", ".join(f"{count} {_NAMES[kind][count != 1]}" for kind, count in counts.most_common())


def _line(entry: MessageLine) -> str:
    incident = entry.incident
    where = incident.container or incident.service or "host"
    text = incident.text if len(incident.text) <= _MOST_TEXT else f"{incident.text[:_MOST_TEXT]}…"
    if entry.over:
        ended = f"{incident.until:%H:%M:%S} UTC  " if incident.until else ""
        return f"{ended}over  {where}: {text}"
    return f"{incident.at:%H:%M:%S} UTC  {KIND_NAMES[incident.kind]}  {where}: {text}"


def _tone(entries: Sequence[MessageLine]) -> Tone:
    severities = {entry.incident.severity for entry in entries if not entry.over}
    if Severity.ERROR in severities:
        return Tone.FAILURE
    if Severity.WARN in severities:
        return Tone.WARNING
    return Tone.INFO if severities else Tone.SUCCESS
