"""A container's memory over time: the readings kept, its turning points, and how straight it rises. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

Pair = tuple[float, float]  # seconds, bytes
RAW_READINGS = 48  # one reading every two seconds: a minute and a half
POINTS_A_LEVEL = 16
LEVELS = 8  # the last level holds 256 readings a point: four and a half hours in all, in at most 176 points
TOOTH = 0.04  # of the limit: a smaller rise and fall is noise
KEPT = 32


@dataclass(frozen=True, slots=True)
class Line:
    """The least-squares line through some readings.

    `off` is the greatest distance of a reading from it, `bytes_per_second` its slope.
    """

    bytes_per_second: float
    at_seconds: float
    bytes_: float
    off_bytes: float

    def at(self, seconds: float) -> float:
        """Return the height of the line at a moment."""
        return self.bytes_ + self.bytes_per_second * (seconds - self.at_seconds)


def fit_line(pairs: Sequence[Pair]) -> Line:
    """Fit a line through two or more readings; it is flat if all readings are of one moment."""
    count = len(pairs)
    middle = sum(seconds for seconds, _ in pairs) / count
    height = sum(bytes_ for _, bytes_ in pairs) / count
    spread = sum((seconds - middle) ** 2 for seconds, _ in pairs)
    product = sum((seconds - middle) * (bytes_ - height) for seconds, bytes_ in pairs)
    slope = product / spread if spread else 0.0
    off = max(abs(bytes_ - height - slope * (seconds - middle)) for seconds, bytes_ in pairs)
    return Line(slope, middle, height, off)


def part_of_time(pairs: Sequence[Pair], since: float, until: float) -> Sequence[Pair]:
    """Return the readings of a share of the time (`part_of_time(pairs, 0.5, 1.0)` is the second half), at least two."""
    first, last = pairs[0][0], pairs[-1][0]
    length = last - first
    within = [pair for pair in pairs if first + since * length <= pair[0] <= first + until * length]
    if len(within) > 1:
        return within
    return pairs[-2:] if until >= 1 else pairs[:2]


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """One reading, or the mean of several in a row; `highest_bytes` is the highest of them."""

    at_seconds: float
    working_set_bytes: float
    usage_bytes: float
    highest_bytes: float


class Trace:
    """Readings of one container, oldest first. Bounded: when a level is full, its two oldest points become one."""

    def __init__(self) -> None:
        self._levels: list[deque[MemoryReading]] = [deque() for _ in range(LEVELS + 1)]
        self._forgotten_highest_bytes = 0.0

    def __len__(self) -> int:
        """Return how many points are kept."""
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
        """Return the points from the latest one that was as low as `bytes_`, oldest first; [] if no point was."""
        points: list[MemoryReading] = []
        for point in self._backwards():
            points.append(point)
            if point.working_set_bytes <= bytes_:
                return points[::-1]
        return []

    def all(self) -> list[MemoryReading]:
        """Return every point, oldest first."""
        return list(self._backwards())[::-1]

    def highest_before(self, at_seconds: float) -> float:
        """Return the highest reading before that moment, however long ago; 0 if there is no reading."""
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


class TurningPoints:
    """Finds the turning points of a series as it comes in. When there are many lows, it keeps the lower of each two."""

    def __init__(self) -> None:
        self._lows: list[Pair] = []
        self._heights: deque[float] = deque(maxlen=KEPT)
        self._extreme: Pair | None = None  # the highest since the last low, or the lowest since the last peak
        self._rising = True

    def __len__(self) -> int:
        """Return how many readings are kept."""
        return len(self._lows) + len(self._heights)

    def add(self, pair: Pair, limit_bytes: float) -> None:
        """Take the next reading."""
        if self._extreme is None:
            self._extreme = pair
            return
        turned = self._extreme[1] - pair[1] if self._rising else pair[1] - self._extreme[1]
        if turned >= TOOTH * limit_bytes:
            self._turn()
            self._extreme = pair
        elif turned <= 0:
            self._extreme = pair

    def lows(self) -> list[Pair]:
        """Return the lows, oldest first."""
        return list(self._lows)

    def height(self) -> float:
        """Return how far the peaks usually stand above the lows before them, in bytes; 0 before the first."""
        return median(self._heights) if self._heights else 0.0

    def _turn(self) -> None:
        if self._extreme is None:
            return
        if not self._rising:
            self._lows.append(self._extreme)
            if len(self._lows) > KEPT:
                self._lows = [min(self._lows[at : at + 2], key=_height) for at in range(0, len(self._lows), 2)]
        elif self._lows:
            self._heights.append(self._extreme[1] - self._lows[-1][1])
        self._rising = not self._rising


def _height(pair: Pair) -> float:
    return pair[1]
