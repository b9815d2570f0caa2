"""Spans of time in which something held, out of points in time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Sustained:
    """How long something must hold to count: so many seconds in a row, or this share of a run (0 to 1) in all.

    A share of less than `LEAST_SECONDS` does not count: in a run of half a minute, one reading would be a tenth.
    """

    seconds: float = 30.0
    share: float = 0.1

    LEAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """Where something held: when first, for how long in all, and at most in a row, in seconds."""

    at: datetime
    seconds: float
    longest: float

    def is_sustained(self, run_seconds: float, limit: Sustained) -> bool:
        """Tell whether that is long, in a run of this length."""
        return self.longest >= limit.seconds or (
            self.seconds >= limit.LEAST_SECONDS and self.seconds >= limit.share * run_seconds
        )


def held(points: Iterable[tuple[datetime, bool]], longest_step: timedelta) -> Held | None:
    """Add up the steps that begin with a point where it held; None when it never did.

    A point stands for the time to the next one, but for no more than `longest_step`: beyond that nobody looked.
    """
    first: datetime | None = None
    total = row = longest = 0.0
    before: tuple[datetime, bool] | None = None
    for at, holds in points:
        if before is not None and before[1]:
            step = at - before[0]
            row += min(step, longest_step).total_seconds()
            total += min(step, longest_step).total_seconds()
            longest = max(longest, row)
            if step > longest_step:
                row = 0.0
        if not holds:
            row = 0.0
        elif first is None:
            first = at
        before = (at, holds)
    return None if first is None else Held(first, total, longest)
