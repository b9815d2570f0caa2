r"""Texts of a test or a target, shown without characters that act on a terminal, a page or a spreadsheet. Pure.

One file for both programs: `sidecar/common/visible_text.py` is a link to this one. A control, bidirectional, zero-width
or line-separating character is shown as its escape, such as `\x1b` or `\u202e`. Letters, CJK and emoji stay; the
joiner within a family of emoji is shown as `\u200d`.
"""

from __future__ import annotations

import re
import unicodedata

# Control (C0, C1, DEL), format, surrogates, private use, unassigned, line separators; letters and marks without ink.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
# Backslashes before what looks like an escape, or before the next character.
_BACKSLASHES = re.compile(r"\\+(?=(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})|(.))", re.DOTALL)
_FORMS = ((2, "x"), (4, "u"), (8, "U"))  # digits and letter of an escape
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


def visible(text: str, also: str = "", keep: str = "") -> str:
    """Return the text in one line, with escapes. Two different texts never become one.

    `also` are further characters to escape, and `keep` those that stay. Backslashes are doubled only where they would
    make an escape ambiguous.
    """
    if text.isascii() and text.isprintable() and "\\" not in text and not also:
        return text

    def unambiguous(match: re.Match[str]) -> str:
        following = match[1]
        is_free = following is not None and _shown(following, also, keep) == following
        return match[0] if is_free else match[0] * 2

    return _escaped(_BACKSLASHES.sub(unambiguous, text), also, keep)


def harmless(text: str, keep: str = "") -> str:
    """Return the text in one line, with escapes, and the same for what has escapes already: for a whole line."""
    return text if text.isascii() and text.isprintable() else _escaped(text, "", keep)


def csv_cell(text: str, keep: str = "") -> str:
    """Return a cell that a spreadsheet shows as a text, not as a formula. A tab stays."""
    shown = visible(text, keep=f"\t{keep}")
    return f"'{shown}" if _FORMULA.match(text) else shown


def csv_cell_or_number(text: str, keep: str = "") -> str:
    """Return such a cell, but a number as it is. For a table of text cells, some with numbers."""
    return text if _NUMBER.fullmatch(text) else csv_cell(text, keep)


def _escaped(text: str, also: str, keep: str) -> str:
    return "".join([_shown(character, also, keep) for character in text])


def _shown(character: str, also: str, keep: str) -> str:
    is_unsafe = unicodedata.category(character) in _UNSAFE or _INVISIBLE.match(character) or character in also
    if not is_unsafe or character in keep:
        return character
    width, letter = next(form for form in _FORMS if ord(character) < 16 ** form[0])
    return f"\\{letter}{ord(character):0{width}x}"
