"""Find files that use Locust as a library: on import they would start their own load in every process."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import locust
from locust import User, debug
from locust.runners import Runner

_STARTS: tuple[tuple[Any, str], ...] = (
    (Runner, "__init__"),
    (User, "run"),
    (locust, "run_single_user"),
    (debug, "run_single_user"),
)
_COMMANDS: tuple[tuple[Any, str, int], ...] = ((subprocess.Popen, "__init__", 1), (os, "system", 0))
"""The functions that start another program, and which of their arguments is the command."""


class OwnProgramError(BaseException):
    """The file starts Locust itself. A BaseException, so that the file's own `except Exception` does not hide it."""


@contextmanager
def own_programs() -> Iterator[list[OwnProgramError]]:
    """Prevent any start of Locust within the block; yield the attempts, also those in greenlets."""
    attempts: list[OwnProgramError] = []

    def refuse(*args: Any, **_: Any) -> None:
        if args and isinstance(args[0], Runner):
            vars(args[0])["greenlet"] = None  # its `__del__` looks at it
        attempts.append(OwnProgramError())
        raise attempts[-1]

    def unless_locust(start: Callable[..., Any], position: int) -> Callable[..., Any]:
        def started(*args: Any, **passed: Any) -> Any:
            if _is_locust([*args, *passed.values()][position : position + 1]):
                refuse()
            return start(*args, **passed)

        return started

    patched = [(owner, name, refuse) for owner, name in _STARTS]
    patched += [(owner, name, unless_locust(getattr(owner, name), position)) for owner, name, position in _COMMANDS]
    before = [getattr(owner, name) for owner, name, _ in patched]
    try:
        for owner, name, patch in patched:
            setattr(owner, name, patch)
        yield attempts
    finally:
        for (owner, name, _), original in zip(patched, before, strict=True):
            setattr(owner, name, original)


def _is_locust(command: list[Any]) -> bool:
    """Return whether a command (a text or words) is Locust's: `locust ...` or `python -m locust ...`."""
    words: list[Any] = []
    with suppress(ValueError, TypeError):
        words = [word for part in command for word in (shlex.split(part) if isinstance(part, str) else list(part))]
    names = [Path(str(word)).name for word in words[:3]]
    return names[:1] == ["locust"] or names[1:] in (["-m", "locust"], ["run", "locust"])
