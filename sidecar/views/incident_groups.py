"""Group incidents: an incident and its consequences in one line. Errors stay longer than infos. Pure.

The ticker shows the most serious and newest groups that fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from sidecar.common import units
from sidecar.model.incident import Incident, Severity
from sidecar.model.incident_kinds import KINDS, goes_on, text_for_project, users_and_workers
from sidecar.model.snapshot import Snapshot
from sidecar.views.lines import DIM, ERROR, OK, WARN, Line, TextSpan, join_fitting, line, shortened, wrapped

# How long after its last sign an incident stays in the ticker: an error as long as the Snapshot holds it.
SHOWN_FOR: Mapping[Severity, timedelta] = {
    Severity.ERROR: timedelta.max,
    Severity.WARN: timedelta(minutes=10),
    Severity.INFO: timedelta(minutes=2),
}
_GRAVITY = {Severity.ERROR: 0, Severity.WARN: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class IncidentGroup:
    """An incident and its consequences, earliest first."""

    root: Incident
    consequences: tuple[Incident, ...] = ()

    @property
    def severity(self) -> Severity:
        """The highest severity in the group: an info may cause an error."""
        return min((incident.severity for incident in (self.root, *self.consequences)), key=lambda each: _GRAVITY[each])

    @property
    def last_sign(self) -> datetime:
        """The time of its last sign."""
        return max(incident.until or incident.at for incident in (self.root, *self.consequences))

    @property
    def goes_on(self) -> bool:
        """Whether its condition has not ended."""
        return goes_on(self.root)


def grouped(snapshot: Snapshot) -> list[IncidentGroup]:
    """Fold consequences into their causes, newest first. Incidents of the kit's own probes are left out."""
    incidents = {incident.id: incident for incident in snapshot.incidents if not incident.helper}
    followers: dict[str, list[Incident]] = {}
    roots = []
    for incident in incidents.values():
        root = _root(incident, incidents)
        if root is incident:
            roots.append(incident)
        else:
            followers.setdefault(root.id, []).append(incident)
    groups = [
        IncidentGroup(
            root,
            tuple(sorted(followers.get(root.id, ()), key=lambda incident: (incident.at, _GRAVITY[incident.severity]))),
        )
        for root in roots
    ]
    return sorted(groups, key=lambda group: (group.root.at, group.root.id), reverse=True)


def _root(incident: Incident, known: Mapping[str, Incident]) -> Incident:
    """Follow the causes up to the first known one. In a ring of causes, the root is the incident itself."""
    seen = {incident.id}
    root = incident
    while root.cause is not None and root.cause in known:
        root = known[root.cause]
        if root.id in seen:
            return incident
        seen.add(root.id)
    return root


def current(groups: Iterable[IncidentGroup], now: datetime) -> list[IncidentGroup]:
    """Keep the groups of the ticker: warnings and infos leave after a while, errors stay."""
    return [group for group in groups if group.goes_on or now - group.last_sign <= SHOWN_FOR[group.severity]]


def by_gravity(groups: Sequence[IncidentGroup]) -> list[IncidentGroup]:
    """Order groups for the ticker: errors, then warnings, then infos; the newest first among equals."""
    return sorted(groups, key=lambda group: _GRAVITY[group.severity])


def counted(groups: Sequence[IncidentGroup]) -> list[tuple[int, str, Severity]]:
    """Count groups by severity, the most serious first, as (2, "errors", ERROR)."""
    words = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.INFO: "info"}
    numbers = [(sum(group.severity is each for group in groups), word, each) for each, word in words.items()]
    return [(number, f"{word}{'' if number == 1 else 's'}", each) for number, word, each in numbers if number]


def short_name(name: str, snapshot: Snapshot) -> str:
    """Name a container as the table does, even if it is gone. Containers of the watched project keep its name."""
    known = next((container for container in snapshot.containers if container.name == name), None)
    if known is None:
        return name.removeprefix(f"{snapshot.project}-")
    return f"{'' if known.project in {None, snapshot.project} else f'{known.project}/'}{known.service}-{known.index}"


def container_of(incident: Incident, snapshot: Snapshot) -> str:
    """Return the short name of an incident's container; "" for an incident without one."""
    return incident.service or "" if incident.container is None else short_name(incident.container, snapshot)


def sentence(group: IncidentGroup, snapshot: Snapshot) -> str:
    """Describe a group in one sentence: the incident, facts that only its consequences have, and what followed."""
    text = _own(group.root, snapshot) + _loss(group)
    afterwards = _afterwards(group)
    return f"{text} → {afterwards}" if afterwards else text


def _loss(group: IncidentGroup) -> str:
    """Return the lost users and workers, if only a consequence knows them."""
    if group.root.workers:
        return ""
    known = next((consequence for consequence in group.consequences if consequence.workers), None)
    return users_and_workers(known.users_lost, known.workers) if known else ""


def _own(incident: Incident, snapshot: Snapshot) -> str:
    name = container_of(incident, snapshot)
    text = text_for_project(incident, snapshot.project, name)
    if incident.container and incident.container in text:
        text = text.replace(incident.container, name)
    parts = [text if not name or name in text else f"{name}: {text}"]
    if incident.until is not None and KINDS[incident.kind].lasts:
        parts.append(f"for {units.duration((incident.until - incident.at).total_seconds())}")
    elif goes_on(incident):
        parts.append("ongoing")
    return ", ".join(parts)


def _afterwards(group: IncidentGroup) -> str:
    """Return what followed, each kind once."""
    words = [KINDS[consequence.kind].afterwards or KINDS[consequence.kind].label for consequence in group.consequences]
    return ", ".join(dict.fromkeys(words))


STYLES = {Severity.ERROR: ERROR, Severity.WARN: WARN, Severity.INFO: ""}
MARKS = {Severity.ERROR: "✗", Severity.WARN: "!", Severity.INFO: "·"}
_INDENT = "           "  # as wide as mark and time
_MOST_ROWS = {Severity.ERROR: 3, Severity.WARN: 2, Severity.INFO: 1}


def block(
    group: IncidentGroup, snapshot: Snapshot, width: int, zone: tzinfo | None, rows: int | None = None
) -> list[Line]:
    """Draw a group: mark, time, tag and sentence. An error is wrapped rather than cut."""
    tag, style = KINDS[group.root.kind].label, STYLES[group.severity]
    most = rows or _MOST_ROWS[group.severity]
    texts = wrapped(f"{tag}  {sentence(group, snapshot)}", width - len(_INDENT), most)
    head = line(TextSpan(MARKS[group.severity], style), " ", TextSpan(units.clock(group.root.at, zone), DIM), " ")
    first = (*head, TextSpan(texts[0][: len(tag)], style), TextSpan(texts[0][len(tag) :]))
    return [first, *(line(_INDENT, text) for text in texts[1:])]


def summary(groups: Sequence[IncidentGroup], width: int) -> Line:
    """Count the groups for the heading."""
    if not groups:
        return line(TextSpan("none", OK))
    return join_fitting(
        [line(TextSpan(f"{number} {word}", STYLES[each])) for number, word, each in counted(groups)], ", ", width
    )


@dataclass(frozen=True, slots=True)
class Ticker:
    """The groups of the ticker, newest first, and their lines. The least serious may be left out."""

    groups: Sequence[IncidentGroup]
    blocks: Mapping[str, list[Line]]

    @property
    def wanted(self) -> int:
        """The number of lines of all groups."""
        return sum(map(len, self.blocks.values())) + len(self.groups) - len(self.blocks)

    def lines(self, room: int | None) -> list[Line]:
        """Return as many groups as fit: chosen by severity, shown newest first. A last line counts the rest."""
        if room is None or self.wanted <= room:
            return [row for group in self.groups for row in self.blocks.get(group.root.id, ())]
        chosen: dict[str, list[Line]] = {}
        left = max(1, room - 1)  # with one line, the most serious group is more useful than a count
        for group in by_gravity(self.groups):
            if left <= 0 or group.root.id not in self.blocks:
                break
            drawn = chosen[group.root.id] = shortened(self.blocks[group.root.id], left)
            left -= len(drawn)
        shown = [row for group in self.groups for row in chosen.get(group.root.id, ())]
        rest = [group for group in self.groups if group.root.id not in chosen]
        return [*shown, _more(rest)][: max(1, room)]


def ticker(
    groups: Sequence[IncidentGroup], snapshot: Snapshot, *, width: int, most: int | None, zone: tzinfo | None
) -> Ticker:
    """Draw the groups; only the `most` most serious ones (None: all), because drawing costs time."""
    drawn = by_gravity(groups)[:most]
    return Ticker(groups, {group.root.id: block(group, snapshot, width, zone) for group in drawn})


def _more(rest: Sequence[IncidentGroup]) -> Line:
    detail = ", ".join(f"{number} {word}" for number, word, _ in counted(rest))
    return line(TextSpan(f"  … {len(rest)} more: {detail}", DIM))


def newest_error(groups: Sequence[IncidentGroup], since: datetime) -> IncidentGroup | None:
    """Return the newest error that came after a moment."""
    return next((group for group in groups if group.severity is Severity.ERROR and group.last_sign >= since), None)
