"""Values of environment variables. `kit` has checked them, but a user's own Compose file or image may set others."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

logger = logging.getLogger("locust_kit")

T = TypeVar("T")


def value(environ: Mapping[str, str], name: str, convert: Callable[[str], T], default: T) -> T:
    """Return a variable as `convert` reads it; the default if it is unset or invalid. Warn once if it is invalid."""
    text = environ.get(name, "")
    if not text:
        return default
    try:
        return convert(text)
    except ValueError:
        _warn(name, text, default)
        return default


@functools.cache
def _warn(name: str, text: str, default: object) -> None:
    logger.warning("locust-kit: %s is %r, which is not valid; using %s", name, text, default)


def whole(text: str) -> int:
    """Read a whole number, 0 or more. Raises ValueError for anything else."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


def positive(text: str) -> float:
    """Read a finite number above 0. Raises ValueError for anything else."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def share(text: str) -> float:
    """Read a share above 0, up to 1, also written as `5%`. Raises ValueError for anything else."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < number <= 1:
        raise ValueError(text)
    return number


def switch(text: str) -> bool:
    """Read 1 as on and 0 as off. Raises ValueError for anything else."""
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"
