"""One stall: a time in which gevent's loop stood still, and its cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from locust_kit.meters.stack import StackSample

STALL_SECONDS = 0.1
"""The shortest time that counts as a stall."""

BLOCKED, STARVED, BUSY = "blocked", "starved", "busy"
"""Code blocked the loop; the process got no CPU time; too many users were ready at once, so a round took long."""

HOLDS_THE_INTERPRETER = "C code that holds the interpreter lock"


@dataclass(frozen=True, slots=True)
class Stall:
    """One time in which the loop stood still.

    Attributes:
        seconds: how long, within half a tick.
        cpu_seconds: CPU time that the main thread used meanwhile.
        waited_seconds: how long it was ready but got no CPU time; None if the kernel does not report it.
        samples: the place of the main thread at each look.
        unseen_seconds: delay of the first look: C code may hold the interpreter lock, which a look needs.

    """

    seconds: float
    cpu_seconds: float
    waited_seconds: float | None
    samples: Sequence[StackSample]
    unseen_seconds: float = 0.0

    def parts(self) -> dict[str, tuple[float, str]]:
        """Return the length by kind, and the place; leave out a part that is too short to be a stall.

        Code that would block the loop for 100 ms on its own CPU core is the cause of the whole stall.
        """
        starved = min(self.seconds, self.waited_seconds or 0.0)
        own = self.seconds - starved
        kind, place = self._cause()
        if kind == STARVED or (kind == BLOCKED and own >= STALL_SECONDS):
            return {kind: (self.seconds, place)}
        parts = {STARVED: (starved, ""), kind: (own, place)}
        return {name: part for name, part in parts.items() if part[0] >= STALL_SECONDS}

    def _cause(self) -> tuple[str, str]:
        """Return the kind, without the waiting for CPU time, and the place of the code that blocked the loop."""
        computed = self.cpu_seconds >= (self.seconds - (self.waited_seconds or 0.0)) / 2
        in_code = [seen for seen in self.samples if seen.place]
        if not computed:  # it waited in a system call, or was paused; ready users do neither
            place, _ = _most(seen.place for seen in in_code if not seen.is_in_client)
            return (BLOCKED, place) if place else (STARVED, "")
        if self.unseen_seconds >= STALL_SECONDS and 2 * (self.waited_seconds or 0.0) < self.seconds:
            first = in_code[0] if in_code else None
            return BLOCKED, first.place if first and not first.is_in_client else HOLDS_THE_INTERPRETER
        greenlet, looks = _most(seen.greenlet for seen in in_code)
        if looks > 1 and 2 * looks > len(self.samples):
            return BLOCKED, _most(seen.place for seen in in_code if seen.greenlet == greenlet)[0]
        place, looks = _most(seen.place for seen in in_code if not seen.is_in_client)
        return (BLOCKED, place) if 2 * looks > len(self.samples) else (BUSY, "")


def _most(values: Iterable[Any]) -> tuple[Any, int]:
    """Return the most frequent value and its count; ("", 0) without values."""
    return next(iter(Counter(values).most_common(1)), ("", 0))
