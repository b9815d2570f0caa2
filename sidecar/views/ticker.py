"""The incident ticker: the gravest and newest groups that there is room for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sidecar.common import units
from sidecar.model.incident import Severity
from sidecar.model.incident_kinds import KINDS
from sidecar.model.snapshot import Snapshot
from sidecar.views.incident_groups import IncidentGroup, by_gravity, counted, sentence
from sidecar.views.lines import DIM, ERROR, OK, WARN, Line, TextSpan, join_fitting, line, shortened, wrapped

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
    """The groups of the ticker, newest first, and how each is drawn; the least grave may not be drawn at all."""

    groups: Sequence[IncidentGroup]
    blocks: Mapping[str, list[Line]]

    @property
    def wanted(self) -> int:
        """How many lines all of it takes."""
        return sum(map(len, self.blocks.values())) + len(self.groups) - len(self.blocks)

    def lines(self, room: int | None) -> list[Line]:
        """Return as many groups as fit: chosen by gravity, shown newest first, the rest counted in a last line."""
        if room is None or self.wanted <= room:
            return [row for group in self.groups for row in self.blocks.get(group.root.id, ())]
        chosen: dict[str, list[Line]] = {}
        left = max(1, room - 1)  # in a room of one line the gravest group says more than a count
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
    """Draw the groups; no more than the gravest `most` (None: all), because drawing costs."""
    drawn = by_gravity(groups)[:most]
    return Ticker(groups, {group.root.id: block(group, snapshot, width, zone) for group in drawn})


def _more(rest: Sequence[IncidentGroup]) -> Line:
    detail = ", ".join(f"{number} {word}" for number, word, _ in counted(rest))
    return line(TextSpan(f"  … {len(rest)} more: {detail}", DIM))


def newest_error(groups: Sequence[IncidentGroup], since: datetime) -> IncidentGroup | None:
    """Return the newest error that came after a moment."""
    return next((group for group in groups if group.severity is Severity.ERROR and group.last_sign >= since), None)
