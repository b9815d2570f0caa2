"""Work that may have to wait for the disk, done in a thread while other greenlets go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent


def off_loop(work: Callable[..., Any], *args: Any) -> Any:
    """What `work` returns. Raises what it raises."""
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
