"""The fields of the engine's answers, read with distrust. Pure.

Docker leaves out, or writes null for, what there is nothing to say about: then a field has its empty value. What is
there and of another kind than it should be makes the whole answer odd: a figure made of half an answer would be wrong,
and nobody would know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sidecar.common.errors import EngineError

Payload = Mapping[str, Any]  # the engine's JSON: its schema is Docker's, and each field is read with a function below

LARGEST = 2**64 - 1  # of any counter; also what the kernel writes for "no limit"
_MOST_DIGITS = 9  # of a number that somebody wrote into a label
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class OddAnswerError(EngineError):
    """The engine's answer is not of the form that Docker documents."""


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
    """Read a label or an event's attribute, as it is. "" where it is absent or no text: anybody may write labels."""
    value = labels.get(name)
    return value if isinstance(value, str) else ""


def label_number(labels: Payload, name: str) -> int | None:
    """Read a number from a label or an event's attribute; None for anything that no container of ours would have."""
    digits = label(labels, name).strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else None


def _odd(name: str, value: object, wanted: str) -> OddAnswerError:
    shown = f"{type(value).__name__} of {len(value)}" if isinstance(value, (dict, list, str)) else _number(value)
    return OddAnswerError(f"Docker's answer is odd: {name} is {shown}", wanted=wanted)


def _number(value: object) -> str:
    """Show a number; a whole one may have so many digits that Python refuses to write it."""
    return f"a number of {value.bit_length()} bits" if isinstance(value, int) and abs(value) > LARGEST else repr(value)
