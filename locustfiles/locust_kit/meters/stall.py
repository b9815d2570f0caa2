"""One time for which gevent's loop stood still, and its cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from locust_kit.meters.stack import StackSample

STALL_SECONDS = 0.1
"""The shortest time that counts as a stall."""

BLOCKED, STARVED, BUSY = "blocked", "starved", "busy"
"""Code held the loop; the process got no processor; so many users were ready at once that a round took that long."""

HOLDS_THE_INTERPRETER = "C code that holds the interpreter lock"


@dataclass(frozen=True, slots=True)
class Stall:
    """One time for which the loop stood still.

    Attributes:
        seconds: how long, within half a tick.
        cpu_seconds: processor time that the main thread used meanwhile.
        waited_seconds: for how long it was ready and got no processor; None where the kernel does not say.
        samples: where it was at each look.
        unseen_seconds: how long the first look took to come: C code may hold the interpreter lock, which looks need.

    """

    seconds: float
    cpu_seconds: float
    waited_seconds: float | None
    samples: Sequence[StackSample]
    unseen_seconds: float = 0.0

    def parts(self) -> dict[str, tuple[float, str]]:
        """Return how long it was of which kind, and where; a part that is no stall by itself is left out.

        Code that would have held the loop for 100 ms on a processor of its own is the cause of all of it.
        """
        starved = min(self.seconds, self.waited_seconds or 0.0)
        own = self.seconds - starved
        kind, place = self._cause()
        if kind == STARVED or (kind == BLOCKED and own >= STALL_SECONDS):
            return {kind: (self.seconds, place)}
        parts = {STARVED: (starved, ""), kind: (own, place)}
        return {name: part for name, part in parts.items() if part[0] >= STALL_SECONDS}

    def _cause(self) -> tuple[str, str]:
        """Return which kind it is, apart from its waiting for a processor, and the place of code that held the loop."""
        computed = self.cpu_seconds >= (self.seconds - (self.waited_seconds or 0.0)) / 2
        in_code = [seen for seen in self.samples if seen.place]
        if not computed:  # it stood in a call of the system, or was paused; users that are ready do neither
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
    """Return the most frequent value, and how often it came; ("", 0) without any."""
    return next(iter(Counter(values).most_common(1)), ("", 0))
