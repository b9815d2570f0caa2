"""What the plugin itself takes of a worker's time, measured while it runs: one call in 61, since a clock costs, too."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EVERY = 61  # a prime: no rhythm of a test falls in step with it


@dataclass
class Cost:
    """Time in listeners, of which a sample is measured, and in making reports, of which all is."""

    clock: Callable[[], float] = time.perf_counter  # a listener never yields: what passes is its own
    calls: int = 0
    measured: int = 0
    measured_seconds: float = 0.0
    report_seconds: float = 0.0

    def sampled(self, listener: Callable[..., None]) -> Callable[..., None]:
        """The listener, with one call in `EVERY` measured."""

        @functools.wraps(listener)
        def called(*args: Any, **passed: Any) -> None:
            self.calls += 1
            if self.calls % EVERY:
                listener(*args, **passed)
                return
            began = self.clock()
            listener(*args, **passed)
            self.measured += 1
            self.measured_seconds += self.clock() - began

        return called

    def whole(self, report: Callable[[], Any]) -> Any:
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
