"""A time limit for a part of the user's code. The result is its exception, if any, or the line where it still waits.

Each part runs in its own greenlet, so that a part which catches all exceptions still ends at its limit. A thread
interrupts a part that never yields to gevent. If that has no effect, the process exits.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType

import gevent
from gevent import monkey

from locust_kit.places import in_folder, innermost

_INTERRUPT_AFTER_SECONDS = 2.0  # beyond the limit; a part that yields was ended at the limit itself
_GIVE_UP_AFTER_SECONDS = 10.0
_start_thread = monkey.get_original("_thread", "start_new_thread")
_thread_id = monkey.get_original("_thread", "get_ident")  # gevent's own names greenlets
_sleep = monkey.get_original("time", "sleep")


class TookTooLongError(Exception):
    """A part of the user's code took longer than its limit; the text names the line."""


class BlockedError(Exception):
    """Raised from another thread into code that never yields."""


def place(stack: traceback.StackSummary) -> str:
    """Return file and line of the innermost frame in the working folder; otherwise of the innermost frame."""
    frame = innermost(stack) or stack[-1]
    return f"{in_folder(frame.filename) or frame.filename} line {frame.lineno}"


def within(seconds: float, name: str, part: Callable[[], object]) -> BaseException | None:
    """Run `part`, named `name`, for at most so many seconds; return its exception, if any."""
    greenlet = gevent.spawn(_outcome, part)
    late = f"took longer than {seconds:g} s"
    watch = _Watch(time.monotonic() + seconds, f"{name}: {late}")
    _start_thread(watch.run, ())
    try:
        greenlet.join(seconds)
    finally:
        watch.is_over = True
    if greenlet.ready():
        outcome = greenlet.value
        if isinstance(outcome, BlockedError):
            where = place(traceback.extract_tb(outcome.__traceback__))
            return TookTooLongError(f"{late} without yielding to gevent ({where})")
        return outcome if isinstance(outcome, BaseException) else None
    frame: FrameType | None = greenlet.gr_frame
    where = place(traceback.extract_stack(frame)) if frame else "nowhere"
    greenlet.kill(block=False)
    return TookTooLongError(f"{late} ({where})")


def _outcome(part: Callable[[], object]) -> BaseException | None:
    """Return the exception of `part`: gevent would print the traceback of a greenlet that fails."""
    try:
        part()
    except BaseException as error:  # noqa: BLE001  the user's code may raise anything, such as gevent.Timeout
        return error
    return None


def end_process_after(seconds: float, code: int) -> None:
    """Exit after so many seconds, if a thread or an exit handler of the user still keeps the process running."""

    def end() -> None:
        _sleep(seconds)
        sys.stdout.flush()
        os._exit(code)

    _start_thread(end, ())


class _Watch:
    """Watches in its own thread that the main thread returns in time."""

    def __init__(self, deadline: float, text: str) -> None:
        self.is_over = False
        self._text = text
        self._deadline = deadline
        self._main: int = _thread_id()

    def run(self) -> None:
        """Interrupt the main thread after its deadline; exit the process if that has no effect."""
        if self._is_late(_INTERRUPT_AFTER_SECONDS):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._main), ctypes.py_object(BlockedError))
            if self._is_late(_GIVE_UP_AFTER_SECONDS):
                where = place(traceback.extract_stack(sys._current_frames()[self._main]))  # noqa: SLF001
                print(f"  FAIL {self._text} and cannot be stopped ({where})", flush=True)
                os._exit(1)

    def _is_late(self, seconds: float) -> bool:
        while not self.is_over and time.monotonic() < self._deadline + seconds:
            _sleep(0.05)
        return not self.is_over
