"""Write to the disk outside the event loop, each file completely or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent


def off_loop(work: Callable[..., Any], *args: Any) -> Any:
    """Run `work` in a thread while other greenlets continue. Return its result, or raise its exception."""
    value, error = gevent.get_hub().threadpool.apply(_attempt, (work, args))
    if error is not None:
        raise error
    return value


def _attempt(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """Return the value or the exception: gevent would print an exception that leaves the thread."""
    try:
        return work(*args), None
    except Exception as error:  # noqa: BLE001  raised again, where it is waited for
        return None, error


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, if it does not exist."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Open a file as `open` does; only its owner can read a new one."""
    return os.open(path, flags, 0o600)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader sees the old content or the new, never a part.

    Raises:
        OSError: the volume cannot be written. The file is then as it was before.

    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with open(partial, "wb", opener=private) as file:
            file.write(content)
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)  # a half-written file uses space on a full disk
        raise


def append(path: Path, content: bytes) -> None:
    """Append to a file, all of the text or nothing: a full disk cuts off no line.

    Raises:
        OSError: the volume cannot be written. The file is then as it was before.

    """
    with open(path, "ab", buffering=0, opener=private) as file:
        size, rest = os.fstat(file.fileno()).st_size, memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(size)
            raise
