"""The lows and peaks of a memory that is collected now and then. Pure."""

from __future__ import annotations

from collections import deque
from statistics import median

from sidecar.incidents.line import Pair

TOOTH = 0.04  # of the limit: a smaller up and down is noise
KEPT = 32


class TurningPoints:
    """Finds the turning points of a series as it comes in. Of many lows, the lower of each two is remembered."""

    def __init__(self) -> None:
        self._lows: list[Pair] = []
        self._heights: deque[float] = deque(maxlen=KEPT)
        self._extreme: Pair | None = None  # the highest since the last low, or the lowest since the last peak
        self._rising = True

    def __len__(self) -> int:
        """How many readings are kept."""
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
