"""What a person writes down about an incident or a cause: one line, of bounded length."""

from __future__ import annotations

from sidecar.common.text import clean

LONGEST = 500
WANTED = f"1 to {LONGEST} characters"


def note_line(text: str) -> str:
    """Return a note as one harmless line.

    Raises:
        ValueError: there is none, or too much of it.

    """
    line = clean(text).strip()
    if not 1 <= len(line) <= LONGEST:
        raise ValueError(f"the note has {len(line)} characters")
    return line
