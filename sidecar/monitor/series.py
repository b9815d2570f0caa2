"""Counters that never run backwards, over all starts of a container and a while beyond its end.

A container's own counters start at zero with each start. Its series would end with the container, just when somebody
needs it. So this module adds up the counters of all starts by container id. A container that is gone keeps its last
values for an hour, which is enough for every scrape and every usual range.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.common.records import shared
from sidecar.model.observation import ContainerSeries, Listed, StatsReading, Total
from sidecar.monitor.assembly import ContainerReadings

KEPT_SECONDS = 3600.0
MOST_GONE = 500

_COUNTERS = {  # the field of a reading that each total adds up
    "cpu_ns": "cpu_total_ns",
    "periods": "cpu_periods",
    "throttled_periods": "cpu_throttled_periods",
    "throttled_ns": "cpu_throttled_ns",
    "read_bytes": "block_read_bytes",
    "write_bytes": "block_write_bytes",
}
_OF_INTERFACES = ("rx_bytes", "rx_packets", "rx_errors", "tx_bytes", "tx_packets", "tx_errors")


@dataclass(slots=True)
class _Kept:
    """The state of one container. `counters` are of the newest reading, made at `read_at`."""

    listed: Listed
    held_back: bool
    seen_at: datetime
    read_at: datetime | None = None
    started_at: datetime | None = None
    memory_limit_bytes: int | None = None
    counters: StatsReading | None = None
    before: dict[Total, int] = field(default_factory=dict)
    now: dict[Total, int] = field(default_factory=dict)
    oom_kills: int = 0
    present: bool = True

    def add(self, counters: StatsReading) -> None:
        """Add a reading. The counts of earlier starts stay in the totals."""
        new_start = self.started_at is not None and self.read_at is not None and self.started_at > self.read_at
        values = _values(counters)
        cpu = Total("cpu_ns")
        new_start = new_start or values[cpu] < self.now.get(cpu, 0)
        for total, last in self.now.items():
            if new_start or values.get(total, last) < last:  # one interface alone can be removed and come back
                self.before[total] = self.before.get(total, 0) + last
                self.now[total] = 0
        self.now.update(values)
        self.read_at = counters.read_at

    def totals(self) -> dict[Total, int]:
        """Return each counter over all starts."""
        return {total: self.before.get(total, 0) + value for total, value in self.now.items()}


class CounterSeries:
    """The counters of all containers. `observe` is called each round, `rows` at each scrape; both lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._rounds = 0

    def observe(self, at: datetime, containers: Iterable[ContainerReadings], oom_kills: Mapping[str, int]) -> None:
        """Add one round.

        Args:
            at: the time of the round.
            containers: all containers of the round.
            oom_kills: the kills that the ledger has for each container, by full id.
        """
        with self._lock:
            for kept in self._kept.values():
                kept.present = False
            for readings in containers:
                self._see(at, readings)
            for container_id, count in oom_kills.items():
                if kept_one := self._kept.get(container_id):
                    kept_one.oom_kills = max(kept_one.oom_kills, count)  # the ledger forgets after a month
            self._forget(at)
            self._rounds += 1

    def rows(self) -> tuple[ContainerSeries, ...]:
        """Return the series of every container for one scrape, including containers that are gone.

        A container that is new since the monitor started shows no OOM kill at its first scrape, even if it had one by
        then. `increase()` sees a kill only as a step, so a zero must come before it.
        """
        with self._lock:
            return tuple(self._row(kept) for kept in self._kept.values())

    def _see(self, at: datetime, readings: ContainerReadings) -> None:
        kept = self._kept.get(readings.listed.id)
        if kept is None:
            kept = self._kept[readings.listed.id] = _Kept(readings.listed, held_back=self._rounds > 0, seen_at=at)
        kept.listed, kept.present = readings.listed, True
        running = readings.listed.state in ("running", "paused")
        if running:
            kept.seen_at = at
        if readings.inspected is not None:
            kept.started_at = readings.inspected.started_at
            kept.memory_limit_bytes = readings.inspected.memory_limit_bytes or 0
        if readings.counters is not None:
            kept.add(readings.counters)
        kept.counters = readings.counters if running else None

    def _forget(self, at: datetime) -> None:
        gone = [container_id for container_id, kept in self._kept.items() if not kept.present]
        for container_id in gone:
            self._kept[container_id].counters = None
        oldest = at - timedelta(seconds=KEPT_SECONDS)
        gone.sort(key=lambda container_id: self._kept[container_id].seen_at)
        too_many = len(gone) - MOST_GONE
        for position, container_id in enumerate(gone):
            if position < too_many or self._kept[container_id].seen_at < oldest:
                del self._kept[container_id]

    def _row(self, kept: _Kept) -> ContainerSeries:
        oom_kills = 0 if kept.held_back else kept.oom_kills
        kept.held_back = False
        return ContainerSeries(**shared(kept, ContainerSeries) | {"oom_kills": oom_kills}, totals=kept.totals())


def _values(counters: StatsReading) -> dict[Total, int]:
    values = {Total(total): getattr(counters, field) for total, field in _COUNTERS.items()}
    for interface in counters.interfaces:
        values |= {Total(field, interface.name): getattr(interface, field) for field in _OF_INTERFACES}
    return values
