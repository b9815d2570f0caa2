"""One typo away from a known name? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_SHORT = 4


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is exactly one slip away (a letter wrong, missing, extra, or two swapped), else None.

    Case counts as a slip of any length: `workers` is one slip from WORKERS. A short name has whole words one letter
    away (DATE and RATE, POST and HOST): there, the first letter must agree.
    """
    upper = name.upper()
    for candidate in known:
        agrees = len(candidate) > _SHORT or upper[:1] == candidate[0]
        if name != candidate and agrees and is_one_slip(upper, candidate):
            return candidate
    return None


def is_one_slip(one: str, other: str) -> bool:
    """Whether the Damerau-Levenshtein distance of two names is at most 1."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[:start] + short[start : start + 2][::-1] + short[start + 2 :]
    return swapped == long or short[start + 1 :] == long[start + 1 :]
