"""JSON without NaN and Infinity: written as null, and read as null where an older version wrote them."""

from __future__ import annotations

import json
import math
from typing import Any


def dumps(value: Any, **options: Any) -> str:  # noqa: ANN401  whatever JSON can hold
    """Write JSON. NaN and Infinity become null. Raise TypeError for a value that JSON cannot hold."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, **options)


def loads(text: str | bytes) -> Any:  # noqa: ANN401  as above
    """Read JSON. Raises ValueError."""
    return json.loads(text, parse_constant=lambda _: None)


def _finite(value: Any) -> Any:  # noqa: ANN401  as above
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
