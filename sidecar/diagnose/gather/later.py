"""Run work in threads with a deadline. Work that hangs is abandoned, and reported as too late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
A = TypeVar("A")


class TooLateError(Exception):
    """Work did not end in time."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock that never jumps."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment `seconds` from now."""
        return cls(time.monotonic() + seconds)

    def left(self, most: float = 3600.0) -> float:
        """Return the seconds left: at most `most`, and at least 0.05, because 0 means no timeout to a socket."""
        return max(0.05, min(most, self.at - self.clock()))


@dataclass(frozen=True, slots=True)
class Later(Generic[T]):
    """The outcome of work in its own thread, which ends with the process."""

    future: Future[T]

    @classmethod
    def of(cls, work: Callable[[], T]) -> Later[T]:
        """Start the work."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  passed to the caller of get()
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return cls(future)

    def get(self, deadline: Deadline) -> T:
        """Wait for the outcome.

        Raises:
            TooLateError: the work did not end by the deadline.
            Exception: the work raised it.

        """
        if not wait([self.future], deadline.left()).done:
            raise TooLateError("no answer in time")
        return self.future.result()


def each(work: Callable[[A], T], items: Iterable[A], deadline: Deadline, at_once: int = 6) -> list[T | BaseException]:
    """Do the same work for several items, a few at once. Return each outcome or error, in the same order."""
    numbered = list(enumerate(items))
    outcomes: list[T | BaseException] = [TooLateError("no answer in time") for _ in numbered]
    waiting = iter(numbered)  # of a list: `next` is one step, also for several threads

    def take() -> None:
        for number, item in waiting:
            if deadline.clock() >= deadline.at:
                return
            try:
                outcomes[number] = work(item)
            except Exception as error:  # noqa: BLE001  the caller reports it as a gap
                outcomes[number] = error

    wait([Later.of(take).future for _ in range(min(at_once, len(numbered)))], deadline.left())
    return list(outcomes)
