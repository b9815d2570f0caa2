"""Find the current line of a thread in the user's own code, and the call there, from another thread."""

from __future__ import annotations

import itertools
import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType

from locust_kit.memory import Memory
from locust_kit.places import is_users_own, shown

GARBAGE_COLLECTION = "Python's garbage collection"
_COLLECTION = Memory.on_collection.__code__
_CLIENTS = frozenset({"locust", "gevent", "geventhttpclient", "requests", "urllib3", "http", "socket", "ssl"})
_CALLED = re.compile(r"([A-Za-z_][\w.]{0,79})\(")
_MOST_FRAMES = 200
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class StackSample:
    """The place of the main thread at one look.

    Attributes:
        greenlet: the greenlet that ran, while it exists.
        place: file, line, function and the call there; "" in gevent's own loop.
        is_in_client: whether it was inside a client that lets other users run while it waits. Many users that are
            ready at once are all there, at the same line of the user's code.

    """

    greenlet: int
    place: str
    is_in_client: bool = False


def sample(innermost: FrameType) -> StackSample:
    """Return the place of a frame of another thread."""
    frames = list(itertools.islice(_outwards(innermost), _MOST_FRAMES))
    greenlet = id(frames[-1])
    if innermost.f_code is _COLLECTION:
        return StackSample(greenlet, GARBAGE_COLLECTION)
    for inner, frame in zip([None, *frames], frames, strict=False):
        if is_users_own(frame.f_code.co_filename):
            is_in_client = inner is not None and _package(inner) in _CLIENTS
            called = _name(innermost if is_in_client else inner) if inner else _called(frame.f_code, frame.f_lasti)
            where = f"{shown(frame.f_code.co_filename, frame.f_lineno)} {frame.f_code.co_name}"
            return StackSample(greenlet, f"{where} → {called}" if called else where, is_in_client)
    if _package(frames[-1]) == _package(innermost) == "gevent":
        return StackSample(greenlet, "")
    return StackSample(greenlet, f"{_name(innermost)}, line {innermost.f_lineno}", _package(innermost) in _CLIENTS)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or "").partition(".")[0]


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"[:_LONGEST_NAME]


@lru_cache(maxsize=1000)
def _called(code: CodeType, instruction: int) -> str:
    """Return the source text of a frame's call to C code, which has no frame itself; "" without a call."""
    positions = next(itertools.islice(code.co_positions(), instruction // 2, None), None)
    if positions is None or None in positions:
        return ""
    line, _, begin, _ = positions
    text = linecache.getline(code.co_filename, line or 0).encode()[begin:].decode(errors="replace")
    called = _CALLED.match(text)
    return called[1] if called else ""
