"""The incident ticker: the gravest and newest stories that there is room for. Pure."""

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
    story: IncidentGroup, snapshot: Snapshot, width: int, zone: tzinfo | None, rows: int | None = None
) -> list[Line]:
    """Draw a story: mark, time, tag and sentence. An error is wrapped rather than cut."""
    tag, style = KINDS[story.root.kind].label, STYLES[story.severity]
    most = rows or _MOST_ROWS[story.severity]
    texts = wrapped(f"{tag}  {sentence(story, snapshot)}", width - len(_INDENT), most)
    head = line(TextSpan(MARKS[story.severity], style), " ", TextSpan(units.clock(story.root.at, zone), DIM), " ")
    first = (*head, TextSpan(texts[0][: len(tag)], style), TextSpan(texts[0][len(tag) :]))
    return [first, *(line(_INDENT, text) for text in texts[1:])]


def summary(told: Sequence[IncidentGroup], width: int) -> Line:
    """Count the stories for the heading."""
    if not told:
        return line(TextSpan("none", OK))
    return join_fitting(
        [line(TextSpan(f"{number} {word}", STYLES[each])) for number, word, each in counted(told)], ", ", width
    )


@dataclass(frozen=True, slots=True)
class Ticker:
    """The stories of the ticker, newest first, and how each is drawn; the least grave may not be drawn at all."""

    told: Sequence[IncidentGroup]
    blocks: Mapping[str, list[Line]]

    @property
    def wanted(self) -> int:
        """How many lines all of it takes."""
        return sum(map(len, self.blocks.values())) + len(self.told) - len(self.blocks)

    def lines(self, room: int | None) -> list[Line]:
        """Return as many stories as fit: chosen by gravity, shown newest first, the rest counted in a last line."""
        if room is None or self.wanted <= room:
            return [one for story in self.told for one in self.blocks.get(story.root.id, ())]
        chosen: dict[str, list[Line]] = {}
        left = max(1, room - 1)  # in a room of one line the gravest story says more than a count
        for story in by_gravity(self.told):
            if left <= 0 or story.root.id not in self.blocks:
                break
            drawn = chosen[story.root.id] = shortened(self.blocks[story.root.id], left)
            left -= len(drawn)
        shown = [one for story in self.told for one in chosen.get(story.root.id, ())]
        rest = [story for story in self.told if story.root.id not in chosen]
        return [*shown, _more(rest)][: max(1, room)]


def ticker(
    told: Sequence[IncidentGroup], snapshot: Snapshot, *, width: int, most: int | None, zone: tzinfo | None
) -> Ticker:
    """Draw the stories; no more than the gravest `most` (None: all), because drawing costs."""
    drawn = by_gravity(told)[:most]
    return Ticker(told, {story.root.id: block(story, snapshot, width, zone) for story in drawn})


def _more(rest: Sequence[IncidentGroup]) -> Line:
    detail = ", ".join(f"{number} {word}" for number, word, _ in counted(rest))
    return line(TextSpan(f"  … {len(rest)} more: {detail}", DIM))


def newest_error(told: Sequence[IncidentGroup], since: datetime) -> IncidentGroup | None:
    """Return the newest error that came after a moment."""
    return next((story for story in told if story.severity is Severity.ERROR and story.last_sign >= since), None)
