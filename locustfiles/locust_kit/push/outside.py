"""What the push needs of the world, passed in so that tests need not wait for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent


def off_loop(work: Callable[..., Any], *args: Any) -> Any:
    """Do what the disk may hold up in a thread; other greenlets go on. Raises what it raises."""
    value, error = gevent.get_hub().threadpool.apply(_tried, (work, args))
    if error is not None:
        raise error
    return value


def _tried(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """What came of it. An exception that leaves its thread is printed by gevent, though it is expected here."""
    try:
        return work(*args), None
    except Exception as error:  # noqa: BLE001  raised again, where it is waited for
        return None, error


@dataclass(frozen=True)
class Outside:
    """`clock` is monotonic, `wall` is since 1970, both in seconds; `random` is from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    off_loop: Callable[..., Any] = off_loop
