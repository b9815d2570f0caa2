"""The Snapshot, and the incidents, as JSON documents, there and back.

Reading is strict about what it knows (a wrong type is an error that names the field) and blind to what it does not:
a document only ever gains fields, so a newer sidecar can be read by an older view.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TypeVar

from sidecar.common.times import format_time, parse_time
from sidecar.model.snapshot import Snapshot

T = TypeVar("T")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_DECIMALS = 3  # more would only make each refresh longer


class DocumentError(ValueError):
    """A document that is not a Snapshot; the text names the field, the value seen and the type wanted."""


def dumps(record: object) -> bytes:
    """Write a Snapshot, an Incident or another record of the model (or a tuple of them) as one line of UTF-8 JSON."""
    return json.dumps(_encode(record), ensure_ascii=False, separators=(",", ":")).encode()


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
    try:
        value = json.loads(document)
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from error
    record = _decode_record(kind, value, where)
    if not isinstance(record, kind):  # for the type checker: _decode_record made one
        raise DocumentError(f"not a {where}")
    return record


def _encode(value: object) -> Json:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    record: type = type(value)
    return {key: _encode(getattr(value, field.name)) for key, field in _fields(record)}


@cache
def _fields(record: type) -> tuple[tuple[str, Field[object]], ...]:
    """Return each field with its JSON key: its own name, or `key` of its metadata where a contract has another one."""
    return tuple((field.metadata.get("key", field.name), field) for field in fields(record))


@cache
def _hints(record: type) -> dict[str, object]:
    return typing.get_type_hints(record)


def _decode_record(record: type, value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} is {value!r:.60}; wanted: an object")
    hints = _hints(record)
    given: dict[str, object] = {}
    for key, field in _fields(record):
        if key in value:
            given[field.name] = _decode(hints[field.name], value[key], f"{where}.{key}")
        elif field.default is MISSING:
            raise DocumentError(f"{where} has no field {key}")
    return record(**given)


def _decode(hint: object, value: object, where: str) -> object:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    wanted = next(option for option in options if option is not type(None))
    if typing.get_origin(wanted) is tuple:
        item = typing.get_args(wanted)[0]
        if not isinstance(value, list):
            raise DocumentError(f"{where} is {value!r:.60}; wanted: a list")
        return tuple(_decode(item, element, f"{where}[{position}]") for position, element in enumerate(value))
    if isinstance(wanted, type) and is_dataclass(wanted):
        return _decode_record(wanted, value, where)
    return _decode_plain(wanted, value, where)


def _decode_plain(wanted: object, value: object, where: str) -> object:
    if wanted is datetime and isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError as error:
            raise DocumentError(f"{where} is {value!r:.60}; wanted: an RFC 3339 time") from error
    if isinstance(wanted, type) and issubclass(wanted, StrEnum) and isinstance(value, str):
        try:
            return wanted(value)
        except ValueError as error:
            raise DocumentError(f"{where} is {value!r:.60}; wanted: one of {', '.join(wanted)}") from error
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, type) and isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        return value
    raise DocumentError(f"{where} is {value!r:.60}; wanted: {getattr(wanted, '__name__', wanted)}")
