"""Text for people: clean a log line, quote for Markdown, put rows in columns. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from sidecar.common.visible_text import visible

# CSI (colours, cursor), OSC (titles, links, clipboard), the other string sequences, and two-character escapes.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
# Control (C0, C1, DEL), format (bidirectional overrides, zero width), surrogates, private use, line separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()<>#|~"} | {"&": "&amp;"})
# Mentions, bare links, references and names of emoji: GitHub acts on them unless they are code.
_LIVE = re.compile(r"@\w|://|\bwww\.|#\d|\bgh-\d|:[\w+-]{1,40}:", re.IGNORECASE)


def clean(text: str) -> str:
    """Return the text as one line without terminal escapes and without invisible or reordering characters."""
    if text.isprintable():
        return text
    without_escapes = _ESCAPES.sub("", text)
    return "".join(_visible(character) for character in without_escapes)


def _visible(character: str) -> str:
    if character in "\t\n\r\v\f":
        return " "
    return "" if unicodedata.category(character) in _UNSAFE_CATEGORIES else character


def in_markdown(text: str, longest: int | None = None) -> str:
    """Return a text that Markdown shows unchanged, in one line; `longest` is the most characters to show.

    A word with a mention or a link is shown as code, with "|" and "`" as escapes.
    """
    cut = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    words = cut.split(" ")
    return " ".join(
        f"`{visible(word, also='|`')}`" if _LIVE.search(word) else visible(word).translate(_MARKUP) for word in words
    )


def aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Return one line per row, each column as wide as its longest cell. Needs at least one row, all of one length."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    cells = [
        [cell.rjust(width) if right else cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for row in rows
    ]
    return ["  ".join(row).rstrip() for row in cells]


def some(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
