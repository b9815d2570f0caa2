"""Texts of a test or a target, made such that they can be sent, written and logged, whatever they are."""

from __future__ import annotations

from typing import Any


def safe(value: Any, longest: int) -> str:
    """The value as text of bounded length. Half of a surrogate pair, which UTF-8 has no bytes for, is escaped.

    Never raises: what cannot be made a text is named by its type.
    """
    try:
        found = (value if isinstance(value, str) else str(value))[:longest]
        if type(found) is str and found.isascii():  # nearly all: not encoded only to be decoded again
            return found
        return str.encode(found, "utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001  a class of the test's own may raise anything, in `__str__` or `__getitem__`
        return f"<{type(value).__name__} without a text>"


def attribute(thing: Any, name: str, default: Any = None) -> Any:
    """The attribute; the default also where a property raises something else than AttributeError."""
    try:
        return getattr(thing, name, default)
    except Exception:  # noqa: BLE001  as above
        return default
