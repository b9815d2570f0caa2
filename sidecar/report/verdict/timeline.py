"""A run's seconds as columns of few points, for pictures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.model.run_record import Moment

Column = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Steps of one length; `at` are their starts. Users and times are the highest of a step, rates its mean.

    `failures` are those that came in each step, by class.
    """

    step_seconds: float
    at: tuple[datetime, ...] = ()
    users: Column = ()
    rps: Column = ()
    fail_per_second: Column = ()
    p50_ms: Column = ()
    p95_ms: Column = ()
    workers: Column = ()
    cpu_percent: Column = ()
    failures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def resampled(moments: Sequence[Moment], most: int) -> Timeline:
    """At most so many steps, each of a whole number of seconds."""
    if not moments:
        return Timeline(0.0)
    begun, span = moments[0].at, (moments[-1].at - moments[0].at).total_seconds()
    step = max(1, -(-int(span + 1) // most))
    groups: dict[int, list[Moment]] = {}
    for moment in moments:
        groups.setdefault(int((moment.at - begun).total_seconds() // step), []).append(moment)
    parts = [groups[number] for number in sorted(groups)]
    return Timeline(
        float(step),
        tuple(begun + timedelta(seconds=number * step) for number in sorted(groups)),
        users=tuple(max(one.users for one in part) for part in parts),
        rps=tuple(_mean([one.rps for one in part]) for part in parts),
        fail_per_second=tuple(_mean([one.fail_per_second for one in part]) for part in parts),
        p50_ms=tuple(_most([one.p50_ms for one in part]) for part in parts),
        p95_ms=tuple(_most([one.p95_ms for one in part]) for part in parts),
        workers=tuple(min(one.workers for one in part) for part in parts),
        cpu_percent=tuple(max(one.cpu_percent for one in part) for part in parts),
        failures=_by_class([part[-1].classes for part in parts]),
    )


def failures_at(moments: Sequence[Moment], at: datetime) -> int:
    """How many requests had failed by then. Locust's reset of its statistics begins anew at 0, this does not."""
    total = before = 0
    for moment in moments:
        if moment.at > at:
            break
        total += moment.failures - before if moment.failures >= before else moment.failures
        before = moment.failures
    return total


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 2)


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _by_class(counts: Sequence[Mapping[str, int]]) -> dict[str, tuple[int, ...]]:
    names = sorted({name for part in counts for name in part})
    found = {}
    for name in names:
        before, column = 0, []
        for part in counts:
            now = int(part.get(name, 0))
            column.append(now - before if now >= before else now)
            before = now
        found[name] = tuple(column)
    return dict(sorted(found.items(), key=lambda one: -sum(one[1])))
