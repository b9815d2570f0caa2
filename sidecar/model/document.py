"""Write the Snapshot, the incidents and other records of the model as JSON documents, and read them.

Reading is strict about known fields: a wrong type is an error that names the field. It ignores all other fields.
A document only gains fields, so an older view can read a newer monitor. msgspec reads documents and takes records
apart. Numbers and times are written by hand: documents have three decimals and milliseconds.
"""

from __future__ import annotations

import json
import re
import typing
from dataclasses import is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar

import msgspec

from sidecar.common import strict_json
from sidecar.common.times import format_time
from sidecar.model.snapshot import Snapshot

T = TypeVar("T")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_DECIMALS = 3  # more would only make each refresh longer
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")  # of a path in an error of msgspec: `$.containers[3].health`
_WITHOUT_ZONE = re.compile(r"T\d\d:\d\d(:\d\d(\.\d+)?)?\"")


class DocumentError(ValueError):
    """A document that is not a Snapshot. The text names the field, the value seen and the type expected."""


def dumps(record: object) -> bytes:
    """Write a Snapshot, an Incident or another record of the model (or a tuple of them) as one line of UTF-8 JSON."""
    plain = _plain(msgspec.to_builtins(record, builtin_types=(datetime,)))
    return strict_json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


def loads(document: bytes | str) -> Snapshot:
    """Read a Snapshot from JSON.

    Raises:
        DocumentError: not JSON, or not a Snapshot.

    """
    return loads_as(Snapshot, document, "snapshot")


def loads_as(kind: type[T], document: bytes | str, where: str) -> T:
    """Read one record of the model from JSON; `where` names it in errors.

    Raises:
        DocumentError: not JSON, or not such a record.

    """
    text = document if isinstance(document, str) else document.decode(errors="replace")
    try:
        record: T = _decoder(kind).decode(document)  # type: ignore[arg-type]  # mypy: type[T] is hashable
    except msgspec.ValidationError as error:
        raise DocumentError(_explained(str(error), kind, text, where)) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from error
    if _WITHOUT_ZONE.search(text) and not _zoned(msgspec.to_builtins(record, builtin_types=(datetime,))):
        raise DocumentError(f"{where} holds a time without a zone; expected: RFC 3339 times")
    return record


@cache
def _decoder(kind: type) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _plain(value: Any) -> Json:  # noqa: ANN401 whatever a record is made of
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return typing.cast("Json", value)


def _zoned(value: Any) -> bool:  # noqa: ANN401 the same
    if isinstance(value, (dict, list, tuple)):
        return all(map(_zoned, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, datetime) or value.tzinfo is not None


def _explained(message: str, kind: Any, text: str, where: str) -> str:  # noqa: ANN401 a type, as typing has it
    """Write an error of msgspec ("Expected `str`, got `int` - at `$.stale`") with the values seen and expected."""
    complaint, _, path = message.partition(" - at `$")
    value = json.loads(text)
    for name, position in _STEP.findall(path):
        if name:
            kind, value, where = typing.get_type_hints(kind).get(name), value[name], f"{where}.{name}"
        else:
            items = typing.get_args(kind)
            kind = items[0] if items[-1] is ... else items[int(position)]
            value, where = value[int(position)], f"{where}[{position}]"
        if isinstance(kind, UnionType):
            kind = next(option for option in typing.get_args(kind) if option is not NoneType)
    if complaint.startswith("Object missing"):
        return f"{where} has no field {complaint.split('`')[1]}"
    return f"{where} is {value!r:.60}; expected: {_wanted(kind, value)}"


def _wanted(kind: Any, value: object) -> str:  # noqa: ANN401 the same
    if typing.get_origin(kind) is tuple:
        return "a list"
    if is_dataclass(kind):
        return "an object"
    if isinstance(value, str) and kind is datetime:
        return "an RFC 3339 time"
    if isinstance(value, str) and isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of {', '.join(kind)}"
    return str(getattr(kind, "__name__", kind))
