"""Check the rate that constant_throughput and constant_pacing plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sidecar.model.run_record import RunRecord
from sidecar.report.verdict import stalls
from sidecar.report.verdict.counts import USERS, by_locust
from sidecar.report.verdict.reason import GeneratorLimits, InvalidReason, share_of

PACING = "pacing"
_LEAST_PLANNED = 10.0  # with fewer planned starts, one missed start is too large a share
_LEAST_MISSED_SECONDS = 2.0  # a machine that stood still for a moment in a short run
_WINDOW = timedelta(seconds=10)
_STALLED = 0.1  # of a worker's time
_BUSY = 0.8  # of the CPU limit of a worker


@dataclass(frozen=True, slots=True)
class _Span:
    """The runs of a class from one moment to another, in seconds."""

    at: datetime
    seconds: float
    planned: float
    begun: float

    @property
    def kept(self) -> float:
        """The begun share of the planned runs."""
        return self.begun / self.planned if self.planned else 1.0

    @property
    def missed_seconds(self) -> float:
        """The time that the missed runs were planned for."""
        return (1 - self.kept) * self.seconds

    def is_short(self, wanted: float) -> bool:
        """Return whether less than the expected share was kept. Few planned runs are not judged."""
        return self.planned >= _LEAST_PLANNED and self.kept < wanted


def rate_short(record: RunRecord, limits: GeneratorLimits) -> Iterator[InvalidReason]:
    """Yield each class that began too few of its planned runs, over the whole run or for long in a row."""
    schedules = (record.meters.get(PACING) or {}).get("schedules") or {}
    for name, schedule in schedules.items():
        points = [
            (moment.at, float(of[0]), float(of[1]))
            for moment in record.moments
            if (of := (moment.meters.get(PACING) or {}).get(name))
        ]
        planned, begun = float(schedule.get("planned") or 0), float(schedule.get("begun") or 0)
        whole = _Span(record.started_at, max(1.0, record.seconds), planned, begun)
        lasting = _longest(points, limits)
        if whole.is_short(limits.rate_kept) and whole.missed_seconds >= _LEAST_MISSED_SECONDS:
            yield _reason(record, limits, str(name), schedule, whole)
        elif lasting is not None and lasting.seconds >= limits.sustained.seconds:
            yield _reason(record, limits, str(name), schedule, lasting)


def _longest(points: Sequence[tuple[datetime, float, float]], limits: GeneratorLimits) -> _Span | None:
    """Return the longest span in which each `_WINDOW` fell short; None without one."""
    longest: _Span | None = None
    first, since = 0, None
    for at, planned, begun in points:
        while first + 1 < len(points) and at - points[first + 1][0] >= _WINDOW:
            first += 1
        window = _Span(points[first][0], 1.0, planned - points[first][1], begun - points[first][2])
        if at - points[first][0] < _WINDOW or not window.is_short(limits.rate_kept):
            since = None
            continue
        since = first if since is None else since
        seconds = (at - points[since][0]).total_seconds()
        if longest is None or seconds > longest.seconds:
            longest = _Span(points[since][0], seconds, planned - points[since][1], begun - points[since][2])
    return longest


def _reason(
    record: RunRecord, limits: GeneratorLimits, name: str, schedule: Mapping[str, Any], span: _Span
) -> InvalidReason:
    begun, planned = span.begun / span.seconds, span.planned / span.seconds
    why = _why(record, limits, schedule)
    text = f"{name} began {begun:.3g} of {planned:.3g} planned task runs/s ({span.kept:.0%}) {why}"
    when = f"; from {span.at:%H:%M:%S} UTC, for {span.seconds:.0f} s"
    return InvalidReason("rate_short", f"{text}{when}", span.at, span.seconds, share_of(span.seconds, record))


def _why(record: RunRecord, limits: GeneratorLimits, schedule: Mapping[str, Any]) -> str:
    """Return who was slow. The generator was, if task runs fit their pacing or a CPU was busy."""
    pacing = float(schedule.get("pacing_seconds") or 0)
    measured = float(schedule.get("measured") or 0)
    each = float(schedule.get("run_seconds") or 0) / measured if measured else None
    busiest = max((moment.cpu_percent for moment in record.load_moments), default=0.0)
    stalled = stalls.worst_share(record)
    planned = f"planned every {pacing:.3g} s"
    if each is None:
        return f"because the target was slow (a run does not end, {planned})"
    took = f"a run takes {each:.2g} s, {planned}"
    if busiest >= _BUSY * limits.cpu_percent or stalled > _STALLED or each < pacing:
        state = f"a worker used {busiest:.0f} % of a CPU core, its event loop was blocked for {stalled:.0%} of the time"
        return f"because the generator was slow ({took}; {state})"
    requests = by_locust(record).requests * float(record.figures.get("average_ms") or 0) / 1000
    runs = float((record.meters.get(USERS) or {}).get("task_runs") or 0)
    if runs and requests / runs < each / 2:
        return f"because its tasks were slow ({took}; requests take {requests / runs:.2g} s of a run)"
    return f"because the target was slow ({took})"
