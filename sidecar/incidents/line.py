"""How straight a stretch of readings is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Pair = tuple[float, float]  # seconds, bytes


@dataclass(frozen=True, slots=True)
class Line:
    """The line of least squares through some readings.

    `off` is the greatest distance of a reading from it, `bytes_per_second` its slope.
    """

    bytes_per_second: float
    at_seconds: float
    bytes_: float
    off_bytes: float

    def at(self, seconds: float) -> float:
        """Return the line's height at a moment."""
        return self.bytes_ + self.bytes_per_second * (seconds - self.at_seconds)


def through(pairs: Sequence[Pair]) -> Line:
    """Lay a line through two or more readings; flat through readings of one moment."""
    count = len(pairs)
    middle = sum(seconds for seconds, _ in pairs) / count
    height = sum(bytes_ for _, bytes_ in pairs) / count
    spread = sum((seconds - middle) ** 2 for seconds, _ in pairs)
    product = sum((seconds - middle) * (bytes_ - height) for seconds, bytes_ in pairs)
    slope = product / spread if spread else 0.0
    off = max(abs(bytes_ - height - slope * (seconds - middle)) for seconds, bytes_ in pairs)
    return Line(slope, middle, height, off)


def part(pairs: Sequence[Pair], since: float, until: float) -> Sequence[Pair]:
    """Return the readings of a share of the time (`part(pairs, 0.5, 1.0)` is the second half), at least two."""
    first, last = pairs[0][0], pairs[-1][0]
    length = last - first
    found = [pair for pair in pairs if first + since * length <= pair[0] <= first + until * length]
    if len(found) > 1:
        return found
    return pairs[-2:] if until >= 1 else pairs[:2]
