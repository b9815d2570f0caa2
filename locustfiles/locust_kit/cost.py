"""What the plugin itself takes of a worker's time, measured while it runs: one call in 61, since a clock costs, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Made = TypeVar("Made")

EVERY = 61  # a prime: no rhythm of a test falls in step with it


@dataclass
class Cost:
    """Time in listeners, of which a sample is measured, and in making reports, of which all is."""

    clock: Callable[[], float] = time.perf_counter  # a listener never yields: what passes is its own
    calls: int = 0
    measured: int = 0
    measured_seconds: float = 0.0
    report_seconds: float = 0.0

    def took(self, began: float) -> None:
        """A call that was measured is over; `began` is what the clock said."""
        self.measured += 1
        self.measured_seconds += self.clock() - began

    def whole(self, report: Callable[[], Made]) -> Made:
        """What `report` returns, its time counted in full."""
        began = self.clock()
        try:
            return report()
        finally:
            self.report_seconds += self.clock() - began

    def document(self) -> dict[str, float | int]:
        """The figures so far, for the report to the master; microseconds are those of a call, of all calls alike."""
        each = self.measured_seconds / self.measured if self.measured else 0.0
        return {
            "calls": self.calls,
            "us_per_call": round(1e6 * each, 2),
            "seconds": round(each * self.calls + self.report_seconds, 4),
            "report_seconds": round(self.report_seconds, 4),
        }
