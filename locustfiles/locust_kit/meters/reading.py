"""Read values that a worker sent: each function returns its type, whatever the value is. Pure."""

from __future__ import annotations

from itertools import islice
from typing import Any

from locust_kit.texts import safe

LARGEST = 2**53  # the largest whole number that JSON represents exactly
LONGEST_LABEL = 200


def whole(value: Any) -> int:
    """Return a count; 0 for anything else."""
    return value if type(value) is int and 0 <= value <= LARGEST else 0


def number(value: Any) -> float:
    """Return a finite number of 0 or more; 0 for anything else."""
    return value if type(value) in (int, float) and 0 <= value <= LARGEST else 0


def mapping(value: Any) -> dict[Any, Any]:
    """Return an object; an empty object for anything else."""
    return value if isinstance(value, dict) else {}


def labelled(value: Any, most: int) -> dict[str, Any]:
    """Return at most so many items of an object, with names that can be shown."""
    return {safe(name, LONGEST_LABEL): part for name, part in islice(mapping(value).items(), most)}


def rows(value: Any, most: int | None = None) -> list[dict[str, Any]]:
    """Return the objects in a list, at most so many; no object for anything else."""
    return [row for row in value if isinstance(row, dict)][:most] if isinstance(value, list | tuple) else []
