"""The plugin's own cost in a worker. It measures one call in 61, since reading a clock also takes time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import gevent

Result = TypeVar("Result")

SLICE_SECONDS = 0.005  # of a report; then the users go on, for as long as they are ready
LONGEST_SECONDS = 4.0  # from a report's start; then it continues without a pause, or the worker would count as silent
_A_TURN = 1e-6  # not 0: with 0, gevent checks the sockets only after 50 such sleeps
EVERY = 61  # a prime number, so that no rhythm of a test matches it


@dataclass
class Cost:
    """Time spent in listeners (sampled) and in making reports (measured in full)."""

    clock: Callable[[], float] = time.perf_counter  # a listener never yields, so all of the time is its own
    calls: int = 0
    measured: int = 0
    measured_seconds: float = 0.0
    report_seconds: float = 0.0
    report_began: float = 0.0
    slice_began: float = 0.0

    def took(self, began: float) -> None:
        """Add a measured call; `began` is the clock at its start."""
        self.measured += 1
        self.measured_seconds += self.clock() - began

    def measure(self, report: Callable[[], Result]) -> Result:
        """Return what `report` returns, and count its time in full."""
        began = self.report_began = self.slice_began = self.clock()
        try:
            return report()
        finally:
            self.report_seconds += self.clock() - began

    def pause(self) -> None:
        """Let the users run after each slice of a report. Their time does not count as cost of the report."""
        now = self.clock()
        if now - self.slice_began >= SLICE_SECONDS and now - self.report_began < LONGEST_SECONDS:
            gevent.sleep(_A_TURN)
            self.slice_began = self.clock()
            self.report_seconds -= self.slice_began - now

    def document(self) -> dict[str, float | int]:
        """Return the figures so far, for the report to the master; `us_per_call` is the mean of a call."""
        each = self.measured_seconds / self.measured if self.measured else 0.0
        return {
            "calls": self.calls,
            "us_per_call": round(1e6 * each, 2),
            "seconds": round(each * self.calls + self.report_seconds, 4),
            "report_seconds": round(self.report_seconds, 4),
        }
