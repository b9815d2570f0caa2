"""The share of failed requests in the last seconds. Pure but for its memory of them."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from sidecar.incidents.conditions.sign import ConditionReading, Subject
from sidecar.model.incident import IncidentKind, Severity
from sidecar.model.snapshot import Locust, Snapshot

WINDOW = timedelta(seconds=10)
_KEPT = 64  # ten seconds at two readings a second, thrice


class FailureWindow:
    """Takes the master's totals each round. `threshold` is a share from 0 to 1; half of it ends the condition."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._totals: deque[tuple[datetime, int, int]] = deque(maxlen=_KEPT)

    def sign(self, snapshot: Snapshot) -> ConditionReading | None:
        """Judge the last ten seconds; None while the master says nothing."""
        if snapshot.locust is None:
            return None
        found = self._in_window(snapshot.at, snapshot.locust)
        requests, failures = found or (0, 0)
        ratio = failures / requests if requests else 0.0
        return ConditionReading(
            IncidentKind.FAILURE_RATIO,
            Severity.WARN,
            Subject(project=snapshot.project),
            bad=requests > 0 and ratio >= self._threshold and failures > 0,
            good=found is not None and (not requests or ratio < self._threshold / 2),
            text=f"{ratio:.1%} of the requests failed ({failures} of {requests} in {WINDOW.seconds} s)",
            weight=ratio,
        )

    def _in_window(self, at: datetime, locust: Locust) -> tuple[int, int] | None:
        """Return requests and failures of the window; None while less than a window is known."""
        if locust.total is None:
            return _from_rates(locust)
        now = (at, locust.total.requests, locust.total.failures)
        if self._totals and now[1] < self._totals[-1][1]:
            self._totals.clear()  # another run, or the figures were reset
        self._totals.append(now)
        while len(self._totals) > 1 and self._totals[1][0] <= at - WINDOW:
            self._totals.popleft()
        before = self._totals[0]
        if before[0] > at - WINDOW:
            return None
        return now[1] - before[1], now[2] - before[2]


def _from_rates(locust: Locust) -> tuple[int, int]:
    """Take the master's own rates, which it makes over ten seconds too."""
    seconds = WINDOW.total_seconds()
    return round(locust.rps * seconds), round(locust.fail_per_second * seconds)
