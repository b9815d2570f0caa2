"""Reads the fields of the engine's answers, and checks each. Pure.

Docker leaves out a field, or writes null, if it has nothing to report: then the field has its empty value. A field of a
wrong type makes the whole answer invalid. A figure made from half an answer would be wrong without a sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sidecar.common.errors import EngineError

Payload = Mapping[str, Any]  # the engine's JSON: Docker defines its schema; the functions below read each field

LARGEST = 2**64 - 1  # of any counter; the kernel also writes it for "no limit"
_MOST_DIGITS = 9  # of a number that somebody wrote into a label
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class OddAnswerError(EngineError):
    """The engine's answer is not in the form that Docker documents."""


def record(value: object, name: str) -> Payload:
    """Read an object; an empty one for null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _odd(name, value, "an object")
    return value


def records(value: object, name: str) -> list[Payload]:
    """Read a list of objects; an empty one for null."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _odd(name, value, "a list of objects")
    return value


def maybe_whole(value: object, name: str, least: int = 0) -> int | None:
    """Read a whole number of at most 64 bits; None for null."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
        raise _odd(name, value, "a whole number")
    return value


def whole(value: object, name: str, least: int = 0) -> int:
    """Read a whole number of at most 64 bits; 0 for null."""
    return maybe_whole(value, name, least) or 0


def text(value: object, name: str) -> str:
    """Read a text as it is, not cleaned for display; "" for null."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _odd(name, value, "a text")
    return value


def full_id(value: object) -> str:
    """Read a container's id, which becomes part of paths."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _odd("a container's Id", value, "hexadecimal digits")
    return value


def label(labels: Payload, name: str) -> str:
    """Read a label or an event's attribute, as it is; "" if absent or not a text, because anybody may set labels."""
    value = labels.get(name)
    return value if isinstance(value, str) else ""


def label_number(labels: Payload, name: str) -> int | None:
    """Read a number from a label or an event's attribute; None for a value that our containers cannot have."""
    digits = label(labels, name).strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else None


def _odd(name: str, value: object, wanted: str) -> OddAnswerError:
    shown = f"{type(value).__name__} of {len(value)}" if isinstance(value, (dict, list, str)) else _number(value)
    return OddAnswerError(f"Docker's answer is invalid: {name} is {shown}", wanted=wanted)


def _number(value: object) -> str:
    """Format a number; Python refuses to write a whole number with too many digits."""
    return f"a number of {value.bit_length()} bits" if isinstance(value, int) and abs(value) > LARGEST else repr(value)
