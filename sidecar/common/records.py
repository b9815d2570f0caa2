"""Copy the common fields of two records."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any


def shared(record: object, kind: type) -> dict[str, Any]:
    """Return the values of the fields that a record shares with another dataclass; an empty dict for None."""
    if record is None:
        return {}
    names = _common(type(record), kind)  # type: ignore[arg-type]  # mypy: a class is hashable
    return {name: getattr(record, name) for name in names}


@cache
def _common(source: type, kind: type) -> tuple[str, ...]:
    wanted = {field.name for field in fields(kind)}
    return tuple(field.name for field in fields(source) if field.name in wanted)
