"""Counts how long things took, for a histogram."""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import accumulate

from sidecar.model.self_metrics import Lag

BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LagMeter:
    """Takes durations in any thread, gives the histogram to any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; a negative one (two clocks that disagree) counts as none."""
        with self._lock:
            self._counts[bisect_left(BOUNDS_SECONDS, max(0.0, seconds))] += 1
            self._sum_seconds += max(0.0, seconds)

    def reading(self) -> Lag:
        """Return the histogram of all durations so far."""
        with self._lock:
            sums = list(accumulate(self._counts))
            return Lag(tuple(zip(BOUNDS_SECONDS, sums, strict=False)), sums[-1], self._sum_seconds)
