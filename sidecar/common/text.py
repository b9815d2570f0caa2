"""Text that came from a container, made harmless for a terminal."""

from __future__ import annotations

import re
import unicodedata

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
