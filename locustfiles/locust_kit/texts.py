"""Texts of a test or a target, made safe to send, write and log; plurals."""

from __future__ import annotations

from typing import Any

OTHERS = "(others)"
"""The row that counts everything without a row of its own, above the limit of rows."""
LONGEST_NAME = 2000
_DEEPEST = 100
_MOST = 2**63
_LONGEST = 1 << 20


def plural(number: int, noun: str) -> str:
    """Write how many there are of something: `1 worker`, `2 workers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def safe(value: Any, longest: int) -> str:
    """Return the value as text of bounded length. Half of a surrogate pair, which UTF-8 cannot encode, is escaped.

    Never raises: if a value cannot become text, return the name of its type.
    """
    try:
        text = (value if isinstance(value, str) else str(value))[:longest]
        if type(text) is str and text.isascii():  # nearly all: not encoded only to be decoded again
            return text
        return str.encode(text, "utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001  a class of the test's own may raise anything, in `__str__` or `__getitem__`
        return f"<{type(value).__name__} without a text>"


def attribute(owner: Any, name: str, default: Any = None) -> Any:
    """Return an attribute; the default also if a property raises another exception than AttributeError."""
    try:
        return getattr(owner, name, default)
    except Exception:  # noqa: BLE001  as above
        return default


def sendable(value: Any, depth: int = 0) -> Any:
    """Return a copy of data that can be sent: texts are cleaned, and any other value becomes its text."""
    if isinstance(value, dict) and depth < _DEEPEST:
        return {sendable(key, _DEEPEST): sendable(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [sendable(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | float | bytes) or (isinstance(value, int) and abs(value) < _MOST):
        return value
    return safe(value, _LONGEST)
