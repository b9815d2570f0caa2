"""What waits to be written to history: bounded, so that a slow disk or a flood costs history and not memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.model.history import HealthMinute, LogCursor, RunPoint, Sample, StoredLine

MOST_BYTES = 16 * 1024 * 1024
_SAMPLE_BYTES = 400  # about what one costs in memory, with all that it holds
_LINE_BYTES = 300  # the same, without the text


@dataclass(frozen=True, slots=True)
class RoundSamples:
    """The samples of one round."""

    at_ms: int
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much was never written because too much waited already."""

    samples: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What is written in one transaction. The cursors say how far the logs were read, up to these lines."""

    rounds: Sequence[RoundSamples] = ()
    run_points: Sequence[RunPoint] = ()
    lines: Sequence[Sequence[StoredLine]] = ()
    cursors: Mapping[str, LogCursor] = field(default_factory=dict)
    health: Sequence[HealthMinute] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to write."""
        return bool(self.rounds or self.run_points or self.lines or self.cursors or self.health)


class Pending:
    """Takes from any thread, without ever waiting; gives all of it to the writer.

    Beyond `most_bytes` the oldest rounds go first, then the oldest lines; what went is counted.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._rounds: deque[RoundSamples] = deque()
        self._run_points: deque[RunPoint] = deque(maxlen=10_000)
        self._health: deque[HealthMinute] = deque(maxlen=10_000)
        self._lines: deque[Sequence[StoredLine]] = deque()
        self._cursors: dict[str, LogCursor] = {}
        self._dropped_samples = 0
        self._dropped_lines = 0

    def add_round(self, round_samples: RoundSamples) -> None:
        """Take the samples of one round."""
        with self._lock:
            self._rounds.append(round_samples)
            self._bytes += _round_bytes(round_samples)
            self._shed()

    def add_run_point(self, point: RunPoint) -> None:
        """Take the run's figures of one round."""
        with self._lock:
            self._run_points.append(point)

    def add_health(self, minutes: Sequence[HealthMinute]) -> None:
        """Take minutes of asking."""
        with self._lock:
            self._health.extend(minutes)

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor]) -> None:
        """Take lines, and how far their logs have been read with them."""
        with self._lock:
            if lines:
                self._lines.append(lines)
                self._bytes += _lines_bytes(lines)
            self._cursors.update(cursors)
            self._shed()

    def take(self) -> Work:
        """Hand over all that waits."""
        with self._lock:
            health = tuple(self._health)
            work = Work(tuple(self._rounds), tuple(self._run_points), tuple(self._lines), self._cursors, health)
            self._health.clear()
            self._rounds.clear()
            self._run_points.clear()
            self._lines.clear()
            self._cursors = {}
            self._bytes = 0
        return work

    def dropped(self) -> Dropped:
        """Return how much was dropped since the start."""
        with self._lock:
            return Dropped(self._dropped_samples, self._dropped_lines)

    def _shed(self) -> None:
        while self._bytes > self._most_bytes and self._rounds:
            gone = self._rounds.popleft()
            self._bytes -= _round_bytes(gone)
            self._dropped_samples += len(gone.samples)
        while self._bytes > self._most_bytes and self._lines:
            lost = self._lines.popleft()
            self._bytes -= _lines_bytes(lost)
            self._dropped_lines += len(lost)


def _round_bytes(round_samples: RoundSamples) -> int:
    return _SAMPLE_BYTES * (1 + len(round_samples.samples))


def _lines_bytes(lines: Sequence[StoredLine]) -> int:
    return sum(_LINE_BYTES + len(line.text) for line in lines)
