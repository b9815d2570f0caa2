"""A run's requests and failures step by step, and windows of time over them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from sidecar.common.times import parse_time
from sidecar.model.run_record import RunRecord

LEAST_REQUESTS = 20
"""With fewer requests in a span, a share of failures proves nothing."""
_WHOLE = 0.9  # of all requests: with fewer in the steps, the workers' clocks are not the master's
_MOST_STEPS = 7200


@dataclass(frozen=True, slots=True)
class Window:
    """Requests and failures from one moment to another. `first` and `last` are the numbers of its steps."""

    since: datetime
    until: datetime
    requests: int
    failures: int
    first: int
    last: int

    @property
    def ratio(self) -> float:
        """The failed share; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0

    @property
    def seconds(self) -> float:
        """The length."""
        return (self.until - self.since).total_seconds()

    @property
    def clock(self) -> str:
        """From when to when, for people."""
        return f"{self.since:%H:%M:%S} to {self.until:%H:%M:%S} UTC"


class OverTime:
    """The steps of a run's load, each `step` seconds long, from `begun` on."""

    def __init__(self, begun: datetime, step: float, requests: list[int], failures: list[int]) -> None:
        self.begun, self.step, self.length = begun, step, len(requests)
        self.requests, self.failures = requests, failures
        self._requests, self._failures = ([0, *accumulate(counts)] for counts in (requests, failures))

    def ending_with(self, unanswered: int) -> OverTime:
        """Return the same with unanswered requests added: they failed when the load ended."""
        if not unanswered:
            return self
        requests, failures = ([*counts[:-1], counts[-1] + unanswered] for counts in (self.requests, self.failures))
        return OverTime(self.begun, self.step, requests, failures)

    def window(self, first: int, last: int) -> Window:
        """Return the window from one step to another, both included."""
        first, last = max(0, first), min(self.length - 1, last)
        return Window(
            self.begun + timedelta(seconds=first * self.step),
            self.begun + timedelta(seconds=(last + 1) * self.step),
            self._requests[last + 1] - self._requests[first],
            self._failures[last + 1] - self._failures[first],
            first,
            last,
        )

    def windows(self, seconds: float) -> Iterator[Window]:
        """Yield each window of this length; the whole run if it is shorter."""
        steps = self._steps(seconds)
        for last in range(min(steps, self.length) - 1, self.length):
            yield self.window(last - steps + 1, last)

    def newest(self, seconds: float) -> Window:
        """Return the last window of this length."""
        return self.window(self.length - self._steps(seconds), self.length - 1)

    def _steps(self, seconds: float) -> int:
        return max(1, math.ceil(seconds / self.step))


def over_time(record: RunRecord, unanswered: int = 0) -> OverTime | None:
    """Return a run's steps by the workers' clocks, or else by the master's. None without steps.

    `unanswered` is the number of requests without an answer.
    """
    if "over_time" not in record.statistics:
        return None  # written by an older plugin, or not at all
    steps = _by_workers(record) or _by_master(record)
    return steps.ending_with(unanswered) if steps else None


def _by_workers(record: RunRecord) -> OverTime | None:
    columns = record.statistics["over_time"]
    requests = [int(count) for count in columns.get("requests") or ()]
    failures = [int(count) for count in columns.get("failures") or ()]
    known = int(record.figures.get("requests") or 0)
    if not requests or len(failures) != len(requests) or sum(requests) < _WHOLE * known:
        return None
    return OverTime(parse_time(str(columns["from"])), float(columns.get("step_seconds") or 1), requests, failures)


def _by_master(record: RunRecord) -> OverTime | None:
    moments = record.load_moments
    if len(moments) <= 1:
        return None
    length = (moments[-1].at - moments[0].at).total_seconds()
    step = max(1.0, math.ceil(length / _MOST_STEPS))
    requests, failures = ([0] * (int(length // step) + 1) for _ in range(2))
    for earlier, later in pairwise(moments):
        number = int((later.at - moments[0].at).total_seconds() // step)
        is_reset = later.requests < earlier.requests
        requests[number] += later.requests - (0 if is_reset else earlier.requests)
        failures[number] += max(0, later.failures - (0 if is_reset else earlier.failures))
    return OverTime(moments[0].at, step, requests, failures)
