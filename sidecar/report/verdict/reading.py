"""Read what a plugin wrote, of whatever version it was: a value of another kind counts as nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list; nothing for what is no list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def whole(value: object) -> int:
    """Return a number as a whole one; 0 for what is none."""
    return int(value) if isinstance(value, int | float) else 0
