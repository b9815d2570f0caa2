"""The memory of a Locust process: its size, its growth, and the cost and effect of garbage collection.

Growth is the slope of a straight line through the samples (least squares). A mean of differences would only be last
minus first. The first half minute is left out, because imports, first connections and caches fill memory then.
"""

from __future__ import annotations

import ctypes
import gc
import time
import tracemalloc
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from locust_kit import env

PAGE_BYTES = 4096
STATM = Path("/proc/self/statm")

_WARM_UP_SECONDS = 30.0
_LEAST_SECONDS = 120.0  # of samples, for a verdict
_MOST_SAMPLES = 600
_LEAK_BYTES_A_MINUTE = 1 << 20
_LEAK_SHARE_A_MINUTE = 0.01
_TOP_LINES = 10
_GENERATIONS = 3  # of Python's garbage collector
_STRAIGHT = 0.8  # least share of the variance that the line explains: memory that goes up and down is not a leak

Verdict = Literal["leak", "steady", "too early"]


@dataclass(frozen=True, slots=True)
class Growth:
    """A fitted line: bytes per minute, the share of the variance it explains (0 to 1), and the verdict."""

    bytes_per_minute: float
    explained: float
    verdict: Verdict


def growth_of(samples: Sequence[tuple[float, int]]) -> Growth:
    """Fit a line through (seconds, bytes), in order of time."""
    if not samples or samples[-1][0] - samples[0][0] < _LEAST_SECONDS:
        return Growth(0.0, 0.0, "too early")
    count = len(samples)
    mean_at = sum(at for at, _ in samples) / count
    mean_size = sum(size for _, size in samples) / count
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    together = sum((at - mean_at) * (size - mean_size) for at, size in samples)
    variance = sum((size - mean_size) ** 2 for _, size in samples)
    slope = together / spread
    explained = together**2 / (spread * variance) if variance else 0.0
    a_minute = 60 * slope
    is_leak = explained >= _STRAIGHT and a_minute >= max(_LEAK_BYTES_A_MINUTE, _LEAK_SHARE_A_MINUTE * mean_size)
    return Growth(a_minute, explained, "leak" if is_leak else "steady")


@dataclass
class Memory:
    """Samples of this process, and the pauses of its garbage collection.

    Attributes:
        traced: whether to report the lines of code that hold most memory; each allocation then takes twice as long.
        frozen: whether the start of a run excludes all existing objects from garbage collection (`gc.freeze`).
        thresholds: of the three generations, as in `gc.set_threshold`; empty keeps Python's defaults.

    """

    traced: bool = False
    frozen: bool = False
    thresholds: tuple[int, ...] = ()
    begun: float = field(default_factory=time.monotonic)
    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_MOST_SAMPLES))
    collections: int = 0
    paused_seconds: float = 0.0
    longest_seconds: float = 0.0
    freed_at_stop_bytes: int | None = None
    top_lines: list[str] = field(default_factory=list)
    _since: float = 0.0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Memory:
        """Read the settings from environment variables."""
        return cls(
            traced=env.value(environ, "KIT_TRACE_MEMORY", env.switch, cls.traced),
            frozen=env.value(environ, "KIT_GC_FREEZE", env.switch, cls.frozen),
            thresholds=env.value(environ, "KIT_GC_THRESHOLDS", _thresholds, cls.thresholds),
        )

    def watch(self) -> None:
        """Measure each garbage collection, and apply the settings to this process."""
        gc.callbacks.append(self.on_collection)
        if self.thresholds:
            gc.set_threshold(*self.thresholds)
        if self.traced:
            tracemalloc.start()

    def settle(self, **_: Any) -> None:
        """At the start of a run, exclude all objects in memory from later garbage collections, if `frozen` is set."""
        if self.frozen:
            gc.collect()
            gc.freeze()

    def on_collection(self, phase: str, _: dict[str, Any]) -> None:
        """Measure a garbage collection: Python calls this at its start and at its end."""
        now = time.perf_counter()
        if phase == "start":
            self._since = now
            return
        pause = now - self._since
        self.collections += 1
        self.paused_seconds += pause
        self.longest_seconds = max(self.longest_seconds, pause)

    def sample(self, now: float, size: int) -> None:
        """Add the size of the process at a moment; ignore moments of the warm-up."""
        if now - self.begun >= _WARM_UP_SECONDS:
            self.samples.append((now, size))

    def collect(self) -> None:
        """Collect all garbage, and note how many bytes that freed."""
        before = resident_bytes()
        gc.collect()
        self.freed_at_stop_bytes = max(0, before - resident_bytes())
        if self.traced:
            self.top_lines = [str(line) for line in tracemalloc.take_snapshot().statistics("lineno")[:_TOP_LINES]]

    def document(self, now: float) -> dict[str, Any]:
        """Return the figures, for the report to the master."""
        growth = growth_of(self.samples)
        return {
            "rss_bytes": resident_bytes(),
            "growth_bytes_per_minute": round(growth.bytes_per_minute),
            "explained": round(growth.explained, 3),
            "verdict": growth.verdict,
            "gc_collections": self.collections,
            "gc_longest_ms": round(1000 * self.longest_seconds, 1),
            "gc_share": round(self.paused_seconds / max(now - self.begun, 1.0), 5),
            "gc_freed_at_stop_bytes": self.freed_at_stop_bytes,
            "gc_frozen_objects": gc.get_freeze_count(),
            "top_lines": self.top_lines,
        }


def _thresholds(text: str) -> tuple[int, ...]:
    """Read up to three whole numbers. Raises ValueError for anything else."""
    numbers = tuple(env.whole(part.strip()) for part in text.split(","))
    if len(numbers) > _GENERATIONS:
        raise ValueError(text)
    return numbers


def give_back() -> None:
    """Return free memory to the system: Debian's C library would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the kernel does not say."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
