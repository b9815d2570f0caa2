"""From a run at ever more users: how many one endpoint carries, and from where on more of them only wait. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sidecar.common.units import plural

LEAST_GAIN = 1.1
_MUCH_CPU_PERCENT = 90.0
_LEAST_POINTS = 4  # of a step; what is shorter is a ramp


@dataclass(frozen=True, slots=True)
class LoadStep:
    """What came of so many users: requests and failures a second, times in ms, CPU of the busiest worker in percent."""

    users: int
    rps: float
    fail_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class Knee:
    """Where it bends.

    Attributes:
        steps: what was measured, by rising users.
        at: the place in `steps` of the last that brought a tenth more than the one before; None when each did.
        by_generator: whether a worker was at its limit by then, so that it says nothing of the target.
        text: the same in one line.

    """

    steps: tuple[LoadStep, ...]
    at: int | None
    by_generator: bool
    text: str


def steps_of(timeline: Mapping[str, Any]) -> tuple[LoadStep, ...]:
    """Return the steps in a report's timeline: stretches with the same number of users, as they stood at their ends."""
    names = ("users", "rps", "fail_per_second", "p50_ms", "p95_ms", "cpu_percent")
    rows = list(zip(*(timeline[name] for name in names), strict=True))
    steps: dict[int, LoadStep] = {}
    for users, group in groupby(rows, itemgetter(0)):
        points = list(group)
        if not users or len(points) < _LEAST_POINTS:
            continue
        _, rps, failing, p50, p95, _ = points[-1]
        steps[int(users)] = LoadStep(
            int(users), rps or 0.0, failing or 0.0, p50, p95, max(point[5] or 0.0 for point in points)
        )
    return tuple(steps[users] for users in sorted(steps))


def find(steps: Sequence[LoadStep]) -> Knee:
    """Return the knee: the last step before one that brought less than a tenth more requests a second."""
    at = next((place for place in range(len(steps) - 1) if steps[place + 1].rps < LEAST_GAIN * steps[place].rps), None)
    if at is None:
        most = f" up to {steps[-1].users} users" if steps else ""
        return Knee(tuple(steps), None, by_generator=False, text=f"no knee{most}: each step brought more")
    by_generator = max(step.cpu_percent for step in steps[: at + 2]) >= _MUCH_CPU_PERCENT
    knee, after = steps[at], steps[at + 1]
    text = f"knee at {_in_words(knee)}; with {_in_words(after)}"
    if by_generator:
        text += "; a worker was at its limit, so this is the load machine's knee: more WORKERS"
    return Knee(tuple(steps), at, by_generator, text)


def _in_words(step: LoadStep) -> str:
    p95 = "" if step.p95_ms is None else f", p95 {step.p95_ms:.0f} ms"
    failing = f", {step.fail_per_second:.1f} failed" if step.fail_per_second else ""
    return f"{plural(step.users, 'user')}: {step.rps:.0f} requests a second{failing}{p95}"
