"""The reason for an INVALID run and the limits of a generator, for all modules of reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.model.run_record import RunRecord


@dataclass(frozen=True, slots=True)
class Sustained:
    """How long a condition must hold to count: seconds in a row, or a share of the run (0 to 1) in total.

    A share of less than `LEAST_SECONDS` does not count: in a run of half a minute, one reading would be a tenth.
    """

    seconds: float = 30.0
    share: float = 0.1

    LEAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """When a condition held: its first moment, its total length, and its longest stretch, in seconds."""

    at: datetime
    seconds: float
    longest: float

    def is_sustained(self, run_seconds: float, limit: Sustained) -> bool:
        """Return whether that counts as sustained in a run of this length."""
        return self.longest >= limit.seconds or (
            self.seconds >= limit.LEAST_SECONDS and self.seconds >= limit.share * run_seconds
        )


def held(points: Iterable[tuple[datetime, bool]], longest_step: timedelta) -> Held | None:
    """Add up the steps that begin with a point where the condition held; None if it never held.

    A point covers the time to the next one, but at most `longest_step`: later times were not observed.
    """
    first: datetime | None = None
    total = row = longest = 0.0
    before: tuple[datetime, bool] | None = None
    for at, holds in points:
        if before is not None and before[1]:
            step = at - before[0]
            row += min(step, longest_step).total_seconds()
            total += min(step, longest_step).total_seconds()
            longest = max(longest, row)
            if step > longest_step:
                row = 0.0
        if not holds:
            row = 0.0
        elif first is None:
            first = at
        before = (at, holds)
    return None if first is None else Held(first, total, longest)


STEP = timedelta(seconds=10)  # of the timeline; a busy master may leave out a second or two


@dataclass(frozen=True, slots=True)
class GeneratorLimits:
    """The limits above which a generator's figures prove nothing.

    Attributes:
        cpu_percent: of a core.
        throttled_percent: of the CPU periods.
        blocked_share: the share of a worker's time in which code blocked its loop, 0 to 1; 0: not judged.
        sustained: for how long each must hold.
        rate_kept: the least share of planned runs (constant_throughput), 0 to 1; 0: not judged.

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
        kind: its slug: an incident's kind, or one of the reasons' own.
        text: one line for people.
        at: when it began; None for the whole run.
        seconds: how long it lasted; None if that has no meaning.
        share: its share of the run's time, 0 to 1; None likewise.

    """

    kind: str
    text: str
    at: datetime | None = None
    seconds: float | None = None
    share: float | None = None


def lasting(kind: str, text: str, span: Held, record: RunRecord, advice: str = "") -> InvalidReason:
    """Return the reason with its start and its length."""
    share = share_of(span.seconds, record)
    of_run = 1.0 if share is None else share
    when = f", from {span.at:%H:%M:%S} UTC, for {span.seconds:.0f} s, {of_run:.0%} of the run"
    return InvalidReason(kind, f"{text}{when}{advice}", span.at, span.seconds, share)


def share_of(seconds: float | None, record: RunRecord) -> float | None:
    """Return the share of the run that these seconds are; None for None, or if the run has no length."""
    return None if seconds is None or not record.seconds else min(1.0, seconds / record.seconds)
