"""A frame as plain text, for pipes and files. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.views.lines import Line, text_of

_ASCII = str.maketrans(
    {
        "█": "#",
        "░": ".",
        "─": "-",
        "…": "~",
        "·": "-",
        "●": "*",
        "✗": "x",
        "–": "-",
        "▸": ">",
        "▼": "v",
        "▲": "^",
        "→": ">",
        "×": "x",
    }
)


def plain(lines: Sequence[Line]) -> str:
    """Return the frame's text without escape codes, each line ended."""
    return "".join(f"{text_of(line)}\n" for line in lines)


def ascii_only(text: str) -> str:
    """Replace what the frame draws with by ASCII, for an output that can hold no more."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
