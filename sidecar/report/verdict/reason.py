"""A reason for which a run is INVALID, and the limits of a generator: what every module of reasons needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.common.spans import Held, Sustained
from sidecar.model.run_record import RunRecord

STEP = timedelta(seconds=10)  # of the timeline; a master that is busy may leave out a second or two


@dataclass(frozen=True, slots=True)
class GeneratorLimits:
    """Above what a generator is no witness any more.

    Attributes:
        cpu_percent: of a core.
        throttled_percent: of the CPU periods.
        blocked_share: of a worker's time, 0 to 1, in which code held its loop; 0: stalls are not judged.
        sustained: for how long each must hold.
        rate_kept: the share of planned runs (constant_throughput) below which it is none, 0 to 1; 0: not judged.

    """

    cpu_percent: float = 90.0
    throttled_percent: float = 25.0
    blocked_share: float = 0.05
    sustained: Sustained = field(default_factory=Sustained)
    rate_kept: float = 0.95


@dataclass(frozen=True, slots=True)
class InvalidReason:
    """One thing that broke the measurement.

    Attributes:
        kind: what it is: an incident's kind, or one of the modules that look for reasons.
        text: one line for people.
        at: when it began; None when it is of the whole run.
        seconds: how long it lasted; None when that says nothing.
        share: of the run's time, 0 to 1; None likewise.

    """

    kind: str
    text: str
    at: datetime | None = None
    seconds: float | None = None
    share: float | None = None


def lasting(kind: str, text: str, span: Held, record: RunRecord, advice: str = "") -> InvalidReason:
    """Return the reason with from when on and for how long it held."""
    share = share_of(span.seconds, record)
    of_run = 1.0 if share is None else share
    when = f", from {span.at:%H:%M:%S} UTC, for {span.seconds:.0f} s, {of_run:.0%} of the run"
    return InvalidReason(kind, f"{text}{when}{advice}", span.at, span.seconds, share)


def share_of(seconds: float | None, record: RunRecord) -> float | None:
    """Return the share of the run that so many seconds are; None for None, and of a run without length."""
    return None if seconds is None or not record.seconds else min(1.0, seconds / record.seconds)
