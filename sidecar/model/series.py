"""One container as Prometheus gets it: counters over all its starts, and the sizes of the moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sidecar.model.observation import Listed, StatsReading


class Total(NamedTuple):
    """Which counter it is, and of which network card where it is one's."""

    what: str  # cpu_ns periods throttled_periods throttled_ns read_bytes write_bytes {rx,tx}_{bytes,packets,errors}
    card: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSeries:
    """The values of one container.

    `present` tells that the engine still lists it, `seen_at` when it last was seen alive. `counters` is None when it
    does not run. `memory_limit_bytes` is 0 without a limit and None while it is not known.
    """

    listed: Listed
    present: bool
    seen_at: datetime
    started_at: datetime | None
    memory_limit_bytes: int | None
    counters: StatsReading | None
    totals: Mapping[Total, int]
    oom_kills: int
