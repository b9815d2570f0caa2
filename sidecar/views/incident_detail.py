"""One incident with all known facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

from sidecar.common import units
from sidecar.model.incident import PROVISIONAL, EvidenceItem, ExitReason, Incident, MemorySample
from sidecar.model.incident_kinds import KINDS, goes_on, text_for_project
from sidecar.model.snapshot import Snapshot
from sidecar.views.incident_groups import MARKS, STYLES, IncidentGroup, block, container_of, grouped
from sidecar.views.lines import DIM, TITLE, WARN, Line, TextSpan, hanging, line, wrapped

_LABEL = 15
_STEPS = "▁▂▃▄▅▆▇█"
_REASONS = {
    ExitReason.OOM: "by an OOM kill",
    ExitReason.STOPPED: "stopped on request",
    ExitReason.KILLED: "by SIGKILL of unknown origin",
    ExitReason.CRASHED: "crashed",
    ExitReason.LOST_MASTER: "lost its master",
    ExitReason.FINISHED: "by itself",
    ExitReason.UNSEEN: "while the monitor did not watch",
}
_MOMENT = timedelta(seconds=1)  # a shorter span is shown as one moment
_MOST_ROWS = 20  # of one text


def group_of(incident_id: str | None, snapshot: Snapshot) -> IncidentGroup | None:
    """Find the group that an incident is in."""
    return next(
        (
            group
            for group in grouped(snapshot)
            if incident_id in {group.root.id, *(consequence.id for consequence in group.consequences)}
        ),
        None,
    )


def detail(incident: Incident, snapshot: Snapshot, *, width: int, zone: tzinfo | None, now: datetime) -> list[Line]:
    """Draw an incident: description, facts, causes and consequences, evidence."""
    style = STYLES[incident.severity]
    head = f"{MARKS[incident.severity]} {KINDS[incident.kind].label}"
    texts = wrapped(text_for_project(incident, snapshot.project), width, _MOST_ROWS)
    lines = [line(TextSpan(head, style), f"  {_when(incident, zone, now)}"), *(line(text) for text in texts), ()]
    for name, text in _facts(incident, snapshot, zone):
        lines += _labelled(name, text, width)
    lines += _relatives(incident, snapshot, width, zone)
    for number, piece in enumerate(incident.evidence):
        lines += [()] if not number or piece.lines or piece.samples else []
        lines += _evidence(piece, incident, width, zone)
    if not incident.evidence:
        lines += [(), line(TextSpan("No evidence was stored.", DIM))]
    return lines


def _when(incident: Incident, zone: tzinfo | None, now: datetime) -> str:
    start = f"{units.date_and_time(incident.at, zone)}"
    if incident.until is not None and incident.until - incident.at >= _MOMENT:
        length = units.duration((incident.until - incident.at).total_seconds())
        return f"{start} to {units.clock(incident.until, zone)} ({length})"
    age = units.duration((now - incident.at).total_seconds())
    return f"{start}, ongoing for {age}" if goes_on(incident) else f"{start}, {age} ago"


def _facts(incident: Incident, snapshot: Snapshot, zone: tzinfo | None) -> Iterator[tuple[str, str]]:
    """List the known facts, the most important first."""
    if incident.container:
        full = f" ({incident.container}, {(incident.container_id or '')[:12]})"
        yield "Container", container_of(incident, snapshot) + full
    if incident.memory_at_death_bytes is not None or incident.memory_limit_bytes is not None:
        yield "Memory", _memory(incident)
    if incident.workers:
        yield "Workers", ", ".join(incident.workers)
    if incident.users_lost is not None:
        yield "Users lost", units.count(incident.users_lost)
    if incident.reason is not None or incident.exit_code is not None:
        code = "" if incident.exit_code is None else f"exit code {incident.exit_code}"
        why = _REASONS[incident.reason] if incident.reason is not None else ""
        yield "Ended", ", ".join(part for part in (why, code) if part)
    if incident.process_survived is not None:
        yield "Main process", "survived: a child process was killed" if incident.process_survived else "died"
    yield "Count", _count(incident)
    if incident.container_started_at:
        yield "Started", units.date_and_time(incident.container_started_at, zone)
    if incident.note:
        yield "Note", incident.note
    if incident.person_note:
        yield "Your note", incident.person_note
    known = "may still change" if incident.state == PROVISIONAL else "final"
    run = f", run {incident.run_id}" if incident.run_id else ""
    yield "Record", f"{incident.id}, revision {incident.revision}, {known}{run}"


def _memory(incident: Incident) -> str:
    limit = incident.memory_limit_bytes
    parts = []
    for word, size in (("at death", incident.memory_at_death_bytes), ("peak", incident.memory_peak_bytes)):
        if size is not None:
            share = f" ({units.percent(size / limit * 100)})" if limit else ""
            parts.append(f"{units.memory(size)} {word}{share}")
    return ", ".join([*parts, f"limit {units.memory(limit)}" if limit else "no limit"])


def _count(incident: Incident) -> str:
    source = "an estimate: the kernel's counter could not be read" if incident.estimated else ""
    events = f"from {units.plural(incident.raw_events, 'engine event')}"
    return ", ".join(part for part in (str(incident.count), events if incident.raw_events else "", source) if part)


def _relatives(incident: Incident, snapshot: Snapshot, width: int, zone: tzinfo | None) -> Iterator[Line]:
    group = group_of(incident.id, snapshot)
    if group is None or not group.consequences:
        return
    everyone = (group.root, *group.consequences)
    yield ()
    yield line(TextSpan("Causes and consequences", TITLE))
    for member in everyone:
        yield from block(IncidentGroup(member), snapshot, width, zone, 2)


def _evidence(piece: EvidenceItem, incident: Incident, width: int, zone: tzinfo | None) -> Iterator[Line]:
    clock = f"{units.clock(piece.at, zone)}  " if piece.at else ""
    yield from _labelled(piece.what.replace("_", " "), clock + piece.text, width)
    if piece.samples:
        yield from _curve(piece.samples, incident.memory_limit_bytes, width, zone)
    for text in piece.lines:
        for number, row in enumerate(wrapped(text, width - 4, 4)):
            yield line(TextSpan("  │ " if not number else "  │   ", DIM), row)


def _curve(samples: Sequence[MemorySample], limit: int | None, width: int, zone: tzinfo | None) -> Iterator[Line]:
    """Draw memory over time as a row of bars, from 0 to the limit (without a limit: to the highest value)."""
    room = max(1, width - _LABEL - 2)
    last = samples[-room:]
    top = limit or max(sample.usage_bytes for sample in last) or 1
    steps = [min(len(_STEPS) - 1, int(sample.usage_bytes / top * len(_STEPS))) for sample in last]
    yield line(" " * (_LABEL + 1), TextSpan("".join(_STEPS[max(0, step)] for step in steps), WARN))
    first, end = last[0], last[-1]
    against = f" of {units.memory(limit)}" if limit else ""
    text = (
        f"{units.clock(first.at, zone)} {units.memory(first.usage_bytes)}"
        f" → {units.clock(end.at, zone)} {units.memory(end.usage_bytes)}{against}"
        f" (working set {units.memory(end.working_set_bytes)})"
    )
    yield from (line(" " * (_LABEL + 1), row) for row in wrapped(text, room, 2))


def _labelled(name: str, text: str, width: int) -> Iterator[Line]:
    return hanging(TextSpan(f"{name[: _LABEL - 1]:<{_LABEL}} ", TITLE), text, width, _MOST_ROWS)
