"""Lines of styled text, measured in terminal cells. Pure.

A style is a name; the terminal's screen decides how it looks. No meaning depends on a style alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

from sidecar.common import visible_text

OK, WARN, ERROR, DIM, TITLE, BANNER = "ok", "warn", "error", "dim", "title", "banner"
SELECTED = "selected"
ELLIPSIS = "…"

_LEAST_SPLIT = 8  # below this many cells a name has no room for two ends

# No span is longer: no screen is either, and a line of a megabyte must not be measured at each drawing.
MOST_CHARACTERS = 2048
# Emoji and text presentation: terminals disagree on how wide the character before them then is.
_PRESENTATION = str.maketrans("", "", "\ufe0e\ufe0f")


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A piece of text in one style. Control characters are shown as escapes."""

    text: str
    style: str = ""

    def __post_init__(self) -> None:
        """Make the text harmless and bounded."""
        text = self.text
        if text.isascii() and text.isprintable() and len(text) <= MOST_CHARACTERS:
            return
        object.__setattr__(self, "text", harmless(text))


Line = tuple[TextSpan, ...]


def harmless(text: str) -> str:
    """Return a text as one bounded line that moves nothing on a terminal."""
    return visible_text.harmless(text[:MOST_CHARACTERS])[:MOST_CHARACTERS].translate(_PRESENTATION)


def line(*parts: str | TextSpan) -> Line:
    """Make a line; a bare string has no style."""
    return tuple(part if isinstance(part, TextSpan) else TextSpan(part) for part in parts)


def text_of(spans: Iterable[TextSpan]) -> str:
    """Return a line's text, without styles and trailing spaces."""
    return "".join(span.text for span in spans).rstrip()


def width_of(spans: Iterable[TextSpan]) -> int:
    """Return how many terminal cells a line takes."""
    return sum(cell_len(span.text) for span in spans)


def cut(text: str, width: int) -> str:
    """Cut a text to a number of cells. If it was cut, the last cell is an ellipsis."""
    if len(text) <= width and text.isascii():
        return text
    if cell_len(text) <= width:
        return text
    kept, used = "", 0
    for character in text:
        used += cell_len(character)
        if used > width - 1:
            break
        kept += character
    return kept + ELLIPSIS if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """Cut a name to a number of cells and keep both ends: replicas differ in the number at the end."""
    if cell_len(text) <= width:
        return text
    tail = "" if width < _LEAST_SPLIT else text[-(width // 3) :]
    while cell_len(tail) > width // 3:
        tail = tail[1:]
    return cut(text, width - cell_len(tail)) + tail


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Break a text into a limited number of rows, between words if possible. `…` marks omitted text."""
    width = max(2, width)
    safe = harmless(text)
    if most == 1:
        return [cut(safe, width)]
    rows = (textwrap.wrap(safe, width) if cell_len(safe) == len(safe) else chop_cells(safe, width)) or [""]
    if len(rows) > most:
        rows = [*rows[: most - 1], cut(f"{rows[most - 1]} {rows[most]}", width - 1).removesuffix(ELLIPSIS) + ELLIPSIS]
    return rows


def hanging(lead: TextSpan, text: str, width: int, most: int, style: str = "") -> Iterator[Line]:
    """Break a text into rows, with a lead before the first row only."""
    blank = TextSpan(" " * cell_len(lead.text), lead.style)
    for number, row in enumerate(wrapped(text, width - cell_len(lead.text), most)):
        yield (blank if number else lead, TextSpan(row, style))


def fit(spans: Line, width: int) -> Line:
    """Cut a line to a number of cells."""
    if width_of(spans) <= width:
        return spans
    return tuple(_fitted(spans, width))


def _fitted(spans: Line, width: int) -> Iterator[TextSpan]:
    left = width
    for span in spans:
        size = cell_len(span.text)
        if size > left:
            yield TextSpan(cut(span.text, left), span.style)
            return
        left -= size
        yield span
        if not left:
            return


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Cut or fill a text to an exact number of cells. `right` fills on the left."""
    shown = cut(text, width)
    filling = " " * (width - cell_len(shown))
    return filling + shown if right else shown + filling


def shortened(block: Sequence[Line], rows: int) -> list[Line]:
    """Keep the first rows of a block of lines. If rows were left out, the last one ends in `…`."""
    if len(block) <= rows:
        return list(block)
    *before, last = block[:rows]
    *start, end = last
    return [*before, (*start, TextSpan(f"{end.text[:-1]}{ELLIPSIS}", end.style))]


def join_fitting(parts: Iterable[Line], separator: str, width: int) -> Line:
    """Join as many whole parts as fit, in order."""
    joined: Line = ()
    for part in parts:
        longer = (*joined, TextSpan(separator, DIM), *part) if joined else part
        if width_of(longer) > width:
            break
        joined = longer
    return joined


def heading(title: str, width: int, detail: Line = ()) -> Line:
    """Rule off a section: `── Containers  5 running ─────`."""
    aside: Line = (TextSpan(" · ", DIM), *detail) if detail else ()
    start = fit((TextSpan("── ", DIM), TextSpan(title, TITLE), *aside, TextSpan(" ")), width)
    return (*start, TextSpan("─" * max(0, width - width_of(start)), DIM))


_ASCII = str.maketrans("█░─…·●✗–▸▼▲→×", "#.-~-*x->v^>x")


def plain(lines: Sequence[Line]) -> str:
    """Return the frame's text without escape codes, each line ended."""
    return "".join(f"{text_of(line)}\n" for line in lines)


def ascii_only(text: str) -> str:
    """Replace drawing characters by ASCII, for an output that supports only ASCII."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
