"""What is kept of a container's memory over time: the latest readings as they were, older ones ever coarser. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

RAW_READINGS = 48  # at a reading each two seconds: a minute and a half
POINTS_A_LEVEL = 16
LEVELS = 8  # the last one holds 256 readings a point: four and a half hours in all, in at most 176 points


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """One reading, or the mean of several in a row; `highest_bytes` is the highest of them."""

    at_seconds: float
    working_set_bytes: float
    usage_bytes: float
    highest_bytes: float


class Trace:
    """Readings of one container, oldest first. Bounded: where a level overflows, its two oldest points become one."""

    def __init__(self) -> None:
        self._levels: list[deque[MemoryReading]] = [deque() for _ in range(LEVELS + 1)]
        self._forgotten_highest_bytes = 0.0

    def __len__(self) -> int:
        """How many points are kept."""
        return sum(map(len, self._levels))

    def add(self, point: MemoryReading) -> None:
        """Add a reading that is younger than all before."""
        for number, level in enumerate(self._levels):
            level.append(point)
            if len(level) <= (POINTS_A_LEVEL if number else RAW_READINGS):
                return
            point = _merged(level.popleft(), level.popleft())
        self._forgotten_highest_bytes = max(self._forgotten_highest_bytes, point.highest_bytes)

    def latest(self) -> MemoryReading | None:
        """Return the youngest reading; None before the first."""
        return self._levels[0][-1] if self._levels[0] else None

    def since_low(self, bytes_: float) -> list[MemoryReading]:
        """Return the points from the latest one that was as low as `bytes_`, oldest first; [] when none was."""
        found: list[MemoryReading] = []
        for point in self._backwards():
            found.append(point)
            if point.working_set_bytes <= bytes_:
                return found[::-1]
        return []

    def all(self) -> list[MemoryReading]:
        """Return every point, oldest first."""
        return list(self._backwards())[::-1]

    def highest_before(self, at_seconds: float) -> float:
        """Return the highest reading of before that moment, 0 when there was none, however long ago it was."""
        before = (point.highest_bytes for point in self._backwards() if point.at_seconds < at_seconds)
        return max(*before, 0.0, self._forgotten_highest_bytes)

    def _backwards(self) -> Iterator[MemoryReading]:
        for level in self._levels:
            yield from reversed(level)


def _merged(older: MemoryReading, younger: MemoryReading) -> MemoryReading:
    return MemoryReading(
        (older.at_seconds + younger.at_seconds) / 2,  # both stand for as many readings
        (older.working_set_bytes + younger.working_set_bytes) / 2,
        (older.usage_bytes + younger.usage_bytes) / 2,
        max(older.highest_bytes, younger.highest_bytes),
    )
