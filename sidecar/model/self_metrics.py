"""What the sidecar says of itself: how far it can be trusted, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """A histogram of how long things took, in seconds.

    `upto` has (bound, how many took at most that long) for each bound, ascending; `count` is of all.
    """

    upto: tuple[tuple[float, int], ...] = ()
    count: int = 0
    sum_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SelfMetrics:
    """The sidecar at one moment. Totals are since `started_at`, but for blind spans and kills: those are the ledger's.

    `event_lag` is from an event's own time stamp until its incident was committed, `journal_bytes` the ledger on
    disk, and `ledger_kept` tells that it is written where it outlives the sidecar. `dropped_samples` were not kept
    because the disk was too slow. Of alerts, `dropped` did not fit into the queue, and `failed` were given up after
    retries.
    """

    started_at: datetime
    cpu_seconds: float
    memory_bytes: int
    blind_seconds: float = 0.0
    unattributed_kills: int = 0
    event_lag: Lag = Lag()
    journal_bytes: int = 0
    dropped_samples: int = 0
    alerts_sent: int = 0
    alerts_dropped: int = 0
    alerts_failed: int = 0
    ledger_kept: bool = True
