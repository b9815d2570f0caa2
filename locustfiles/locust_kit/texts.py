"""Texts of a test or a target, made safe to send, write and log."""

from __future__ import annotations

from typing import Any

OTHERS = "(others)"
"""The row of what has no row of its own: beyond the most that are kept."""
LONGEST_NAME = 2000
_DEEPEST = 100
_MOST = 2**63
_LONGEST = 1 << 20


def safe(value: Any, longest: int) -> str:
    """Return the value as text of bounded length. Half of a surrogate pair, which UTF-8 cannot hold, is escaped.

    Never raises: a value whose text cannot be had is named by its type.
    """
    try:
        text = (value if isinstance(value, str) else str(value))[:longest]
        if type(text) is str and text.isascii():  # nearly all: not encoded only to be decoded again
            return text
        return str.encode(text, "utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001  a class of the test's own may raise anything, in `__str__` or `__getitem__`
        return f"<{type(value).__name__} without a text>"


def attribute(owner: Any, name: str, default: Any = None) -> Any:
    """Return an attribute; the default also where a property raises something other than AttributeError."""
    try:
        return getattr(owner, name, default)
    except Exception:  # noqa: BLE001  as above
        return default


def sendable(value: Any, depth: int = 0) -> Any:
    """Return a copy of data that can be sent: texts are cleaned, and what is no plain value becomes its text."""
    if isinstance(value, dict) and depth < _DEEPEST:
        return {sendable(key, _DEEPEST): sendable(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [sendable(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | float | bytes) or (isinstance(value, int) and abs(value) < _MOST):
        return value
    return safe(value, _LONGEST)
