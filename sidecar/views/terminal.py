"""A frame as rich's text: what the style names look like on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.control import Control
from rich.segment import Segment, Segments
from rich.style import Style

from sidecar.views import lines as names
from sidecar.views.lines import Line

STYLES = {
    names.OK: Style(color="green"),
    names.WARN: Style(color="yellow", bold=True),
    names.ERROR: Style(color="red", bold=True),
    names.DIM: Style(dim=True),
    names.TITLE: Style(bold=True),
    names.BANNER: Style(color="white", bgcolor="red", bold=True),
    names.SELECTED: Style(reverse=True, bold=True),
    "": Style.null(),
}


def renderable(lines: Sequence[Line], width: int, height: int) -> Segments:
    """Turn a frame into what rich prints: each line filled to the width, so that nothing older shines through.

    Each line is put at its own place: one that the terminal finds wider than we do cannot push the next ones down.
    """
    segments: list[Segment] = []
    for number in range(height):
        line: Line = lines[number] if number < len(lines) else ()
        segments.append(Control.move_to(0, number).segment)
        segments.extend(Segment(span.text, STYLES[span.style]) for span in line)
        segments.append(Segment(" " * max(0, width - names.width_of(line))))
    return Segments(segments)
