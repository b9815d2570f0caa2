"""JSON that every reader takes: without NaN and Infinity, which Python writes though no standard has them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from flask.json.provider import DefaultJSONProvider

from locust_kit.texts import safe

_DEEPEST, _LONGEST = 100, 1 << 20


def dumps(value: Any, **options: Any) -> str:
    """Write JSON. NaN and Infinity become null; any other value that JSON lacks becomes its text."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(_plain(value), allow_nan=False, **options)


class StrictProvider(DefaultJSONProvider):
    """The JSON of Locust's web pages, strict."""

    def dumps(self, obj: Any, **options: Any) -> str:
        """Write an answer."""
        try:
            return super().dumps(obj, allow_nan=False, **options)
        except (TypeError, ValueError, RecursionError):
            return dumps(obj, **options)


def _plain(value: Any, depth: int = 0) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {safe(key, _LONGEST): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_plain(inner, depth + 1) for inner in value]
    return safe(value, _LONGEST)
