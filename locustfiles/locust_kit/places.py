"""Find the line of the user's own code in a traceback: the innermost line is often in a library."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from traceback import FrameSummary, StackSummary
from types import FrameType, TracebackType
from typing import NamedTuple

_OF_OTHERS = ("site-packages", "dist-packages", "<frozen ")
_STANDARD = tuple(filter(None, (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))))


class Place(NamedTuple):
    """A function and `file:line`, relative to the working directory; both "" if there is no code of the user."""

    function: str = ""
    line: str = ""


def of_traceback(traceback: TracebackType | None) -> Place:
    """Return the innermost place of the user's own code in a traceback."""
    found = Place()
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_users_own(code.co_filename):
            found = Place(code.co_name, shown(code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def of_caller(frame: FrameType | None) -> Place:
    """Return the innermost place of the user's own code among a frame and its callers."""
    while frame is not None:
        if is_users_own(frame.f_code.co_filename):
            return Place(frame.f_code.co_name, shown(frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return Place()


def is_users_own(path: str) -> bool:
    """Return whether a file is the user's: not of the standard library, an installed package or the plugin."""
    if path.startswith(_HERE) or any(part in path for part in _OF_OTHERS):
        return False
    return not path.startswith(_STANDARD)


def shown(path: str, line: int) -> str:
    """Return `file:line`, the file relative to the user's folder."""
    return f"{in_folder(path) or path}:{line}"


def in_folder(path: str) -> str | None:
    """Return a path relative to the user's folder (the working directory); None if it is outside."""
    folder = f"{Path.cwd()}{os.sep}"
    return path.removeprefix(folder) if path.startswith(folder) else None


def innermost(stack: StackSummary) -> FrameSummary | None:
    """Return the innermost frame in the user's folder, if there is one."""
    return next((frame for frame in reversed(stack) if in_folder(frame.filename) is not None), None)


_HERE = f"{Path(__file__).parent}{os.sep}"
