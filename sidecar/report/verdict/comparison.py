"""Compare two runs: which endpoints became slower or faster, and which fail more. Pure.

A change must be large enough to matter and larger than chance. Quantiles of the successful requests have an interval
from the binomial spread of their rank, widened for requests that come in bursts. Shares of failures are compared in
the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sidecar.common.redaction import Redactor
from sidecar.common.units import plural
from sidecar.model import run_arguments
from sidecar.model.run_record import RunRecord
from sidecar.report.verdict.thresholds import Spread, Times, spreads_of

LEAST_CHANGE = 0.15  # of a time
LEAST_MS = 2.0
LEAST_RATIO_CHANGE = 0.01  # of all requests
_SIGMAS = 4.0
_LEAST_COUNT = 50
_UNLIKE = ("users", "spawn_rate_per_second", "shape_class")
_QUANTILES = {"median": 0.5, "p95": 0.95}


@dataclass(frozen=True, slots=True)
class Change:
    """One changed figure of one endpoint. `before` and `after` are ms, or shares for `fail_ratio`."""

    method: str
    name: str
    figure: str
    before: float
    after: float
    text: str

    @property
    def is_worse(self) -> bool:
        """Whether the endpoint is slower, or fails more."""
        return self.after > self.before


@dataclass(frozen=True, slots=True)
class Compared:
    """The changes, the worst first. `same` counts unchanged endpoints; `unsure` are those with too few requests."""

    changes: tuple[Change, ...]
    same: int
    unsure: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]


def compare(before: Sequence[Spread], after: Sequence[Spread]) -> Compared:
    """Compare two runs' times, endpoint by endpoint."""
    old, new = _by_name(before), _by_name(after)
    changes: list[Change] = []
    same, unsure = 0, []
    for key in sorted(old.keys() & new.keys()):
        if min(_count(old[key]), _count(new[key])) < _LEAST_COUNT:
            unsure.append(_title(key))
            continue
        changed = list(_changes(key, old[key], new[key]))
        changes += changed
        same += not changed
    changes.sort(key=lambda change: (not change.is_worse, -_size(change)))
    return Compared(
        tuple(changes),
        same,
        tuple(unsure),
        tuple(_title(key) for key in sorted(new.keys() - old.keys())),
        tuple(_title(key) for key in sorted(old.keys() - new.keys())),
    )


def _by_name(spreads: Sequence[Spread]) -> Mapping[tuple[str, str], Spread]:
    return {(spread.method, spread.name): spread for spread in spreads}


def _count(spread: Spread) -> int:
    return spread.good.count + spread.failed.count


def _title(key: tuple[str, str]) -> str:
    return " ".join(filter(None, key))


def _size(change: Change) -> float:
    low = max(min(change.before, change.after), 1e-9)
    return max(change.before, change.after) / low if change.figure != "fail_ratio" else change.after - change.before


def _changes(key: tuple[str, str], old: Spread, new: Spread) -> Iterator[Change]:
    for figure, share in _QUANTILES.items():
        before, after = _interval(old.good, share), _interval(new.good, share)
        if before is None or after is None:
            continue
        apart = after[0] > before[2] or before[0] > after[2]
        difference = abs(after[1] - before[1])
        if apart and difference >= max(LEAST_MS, LEAST_CHANGE * min(before[1], after[1])):
            text = f"{_title(key)}: {figure} {before[1]:.0f} ms → {after[1]:.0f} ms ({after[1] / before[1] - 1:+.0%})"
            yield Change(*key, figure, before[1], after[1], text)
    yield from _failing(key, old, new)


def _failing(key: tuple[str, str], old: Spread, new: Spread) -> Iterator[Change]:
    counts = (_count(old), _count(new))
    before, after = old.failed.count / counts[0], new.failed.count / counts[1]
    pooled = (old.failed.count + new.failed.count) / sum(counts)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / counts[0] + 1 / counts[1]))
    if abs(after - before) >= max(LEAST_RATIO_CHANGE, _SIGMAS * spread):
        text = f"{_title(key)}: {before:.2%} failed → {after:.2%}"
        yield Change(*key, "fail_ratio", before, after, text)


def _interval(times: Times, share: float) -> tuple[float, float, float] | None:
    """Return low end, value and high end of a quantile; None with too few times."""
    count = times.count
    if count < _LEAST_COUNT or count * (1 - share) < 10:  # noqa: PLR2004  ten above it, or its rank is chance
        return None
    spread = _SIGMAS * math.sqrt(share * (1 - share) / count)
    low, value, high = (times.quantile(min(1.0, max(0.0, at))) for at in (share - spread, share, share + spread))
    return None if low is None or value is None or high is None else (low, value, high)


def document(before: RunRecord, after: RunRecord) -> dict[str, Any]:
    """Return the changes from one run to the other, and the differences of the requested load."""
    compared = compare(spreads_of(before.performance), spreads_of(after.performance))
    unlike = [
        f"{name} {before.plan.get(name)} → {after.plan.get(name)}"
        for name in _UNLIKE
        if before.plan.get(name) != after.plan.get(name)
    ]
    hosts = [Redactor().text(str(run.begin.get("host"))) for run in (before, after)]
    if hosts[0] != hosts[1]:
        unlike.append(f"host {hosts[0]} → {hosts[1]}")
    arguments = [run.begin.get("arguments") for run in (before, after)]
    other = run_arguments.changes(*(values or {} for values in arguments)) if None not in arguments else ""
    return {
        "baseline": before.run_id,
        "text": _text(compared, unlike, other),
        "unlike": [*unlike, *([f"arguments: {other}"] if other else [])],
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(compared).items()},
        "changes": [{**asdict(change), "is_worse": change.is_worse} for change in compared.changes],
    }


def _text(compared: Compared, unlike: list[str], arguments: str) -> str:
    changed, unsure = len({(change.method, change.name) for change in compared.changes}), len(compared.unsure)
    text = plural(len(compared.changes), "significant change") if compared.changes else "No significant change"
    text += f"; {compared.same} of {plural(compared.same + changed + unsure, 'endpoint')} unchanged"
    text += f", {unsure} with too few requests to compare" if unsure else ""
    text += f". Different arguments: {arguments}" if arguments else ""
    return text + (f". Different load: {'; '.join(unlike)}" if unlike else "") + "."
