"""The last figures and log lines of each container, in memory: evidence must not wait for a disk."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sidecar.ledger.moments import from_nanos
from sidecar.model.incident import MemorySample
from sidecar.model.logs import StoredLine
from sidecar.model.observation import LogEntry
from sidecar.model.records import Recent, Sample

DEPTH = 60
_MOST_CONTAINERS = 256  # the longest untouched go first
_LONGEST_TEXT = 1000  # evidence is for reading; the whole line is in the file


@dataclass(frozen=True, slots=True)
class _Ring:
    samples: deque[MemorySample] = field(default_factory=lambda: deque(maxlen=DEPTH))
    lines: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=DEPTH))


class Rings:
    """Remembers the latest of each container; for any thread."""

    def __init__(self) -> None:
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._lock = threading.Lock()

    def add_round(self, at: datetime, samples: Sequence[Sample]) -> None:
        """Remember the memory of these containers."""
        with self._lock:
            for sample in samples:
                memory = MemorySample(at, sample.working_set_bytes, sample.usage_bytes)
                self._ring(sample.container_id).samples.append(memory)

    def add_lines(self, lines: Sequence[StoredLine]) -> None:
        """Remember these lines."""
        with self._lock:
            for line in lines:
                self._ring(line.container_id).lines.append(LogEntry(from_nanos(line.ns), shortened(line.text)))

    def recent(self, container_id: str, before: datetime, most: int) -> Recent:
        """Return the last of this container up to that moment, at most so many of each."""
        with self._lock:
            ring = self._rings.get(container_id)
            if ring is None:
                return Recent()
            samples = [sample for sample in ring.samples if sample.at <= before]
            lines = [line for line in ring.lines if line.at is None or line.at <= before]
        return Recent(tuple(samples[-most:]), tuple(lines[-most:]))

    def _ring(self, container_id: str) -> _Ring:
        ring = self._rings.get(container_id)
        if ring is None:
            ring = self._rings[container_id] = _Ring()
            if len(self._rings) > _MOST_CONTAINERS:
                self._rings.popitem(last=False)
        else:
            self._rings.move_to_end(container_id)
        return ring


def shortened(text: str) -> str:
    """Cut a line at the length that evidence holds."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
