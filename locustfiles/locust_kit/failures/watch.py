"""The share of failed requests in a sliding window: when it becomes too high, and when it is normal again. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 10.0
DEFAULT_THRESHOLD = 0.05
_LEAST_REQUESTS = 20  # of fewer, one failure is no share
_CALM = 0.5  # of the threshold: below that the share is no longer high


@dataclass
class Watch:
    """Watches Locust's own totals, in which each request counts once. `ratio` is None if there are too few requests."""

    threshold: float = DEFAULT_THRESHOLD
    ratio: float | None = None
    is_high: bool = False
    _totals: deque[tuple[float, int, int]] = field(default_factory=deque)

    def look(self, at: float, requests: int, failures: int) -> str:
        """Add the totals of a moment; return a line if the share becomes too high or normal again, else ""."""
        if self._totals and requests < self._totals[-1][1]:  # the statistics were reset, or a run began
            self._totals.clear()
            self.is_high = False
        self._totals.append((at, requests, failures))
        while len(self._totals) > 1 and at - self._totals[1][0] >= WINDOW_SECONDS:
            self._totals.popleft()
        _, requests_before, failures_before = self._totals[0]
        done, failed = requests - requests_before, failures - failures_before
        self.ratio = failed / done if done >= _LEAST_REQUESTS else None
        return self._changed(done, failed)

    def _changed(self, done: int, failed: int) -> str:
        if self.ratio is None:
            return ""
        share = f"{100 * self.ratio:.1f} % of {done} requests failed in the last {WINDOW_SECONDS:.0f} s"
        if not self.is_high and failed and self.ratio >= self.threshold:
            self.is_high = True
            return f"{share}: too many (limit {100 * self.threshold:g} %)"
        if self.is_high and self.ratio < _CALM * self.threshold:
            self.is_high = False
            return f"{share}: no longer too many"
        return ""
