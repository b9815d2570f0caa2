"""Check thresholds against the figures of a run. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from sidecar.common.units import plural
from sidecar.model.run_record import RunRecord
from sidecar.model.threshold import OF_TASKS, UPPER, Threshold
from sidecar.report.verdict import counts
from sidecar.report.verdict.over_time import LEAST_REQUESTS, OverTime, Window, over_time

OTHERS = "(others)"
"""The name of the row that holds the requests of all names that have no row of their own."""
_NOTHING: Mapping[tuple[str, str], int] = MappingProxyType({})
_NEARLY_ALL = 0.99
_DOUBT = 0.05  # that even the largest of the samples lies below the true quantile


@dataclass(frozen=True, slots=True)
class Times:
    """Times that were counted in buckets, as the plugin writes them (performance.json).

    Bucket i holds the times from gamma^(i-1) to gamma^i ms; a quantile is by nearest rank, within half a bucket.
    """

    gamma: float
    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of times."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float | None:
        """Return the time in ms that `share` (0 to 1) of them did not exceed; None without times."""
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return 2 * self.gamma**index / (self.gamma + 1)
        return None


def together(parts: Iterable[Times]) -> Times:
    """Return all of them as one. They must share one gamma."""
    counts: Counter[int] = Counter()
    gamma = 1.02
    for part in parts:
        gamma = part.gamma
        counts.update(part.counts)
    return Times(gamma, counts)


def least_samples(quantile: float) -> int:
    """Return how many samples a quantile needs: 59 for p95, 299 for p99, 2995 for p99.9.

    With fewer, the chance is above 5 % that even the largest of them lies below the true quantile: quantile^n > 0.05.
    """
    return math.ceil(math.log(_DOUBT) / math.log(quantile)) if 0 < quantile < 1 else 1


@dataclass(frozen=True, slots=True)
class Spread:
    """The times of one method and name, successful and failed requests separately, as the plugin counted them."""

    method: str
    name: str
    good: Times
    failed: Times

    @property
    def count(self) -> int:
        """The number of times."""
        return self.good.count + self.failed.count


@dataclass(frozen=True, slots=True)
class Judged:
    """The result of one threshold.

    Attributes:
        threshold: the threshold.
        actual: the figure, in the threshold's unit; None without a figure.
        samples: the number of requests behind it.
        samples_wanted: the number of requests that it needs; 0: any number.
        unknown: why the figure is unknown; "" if it is known.
        note: the time that it covers; "" for the whole run.

    """

    threshold: Threshold
    actual: float | None
    samples: int
    samples_wanted: int = 0
    unknown: str = ""
    note: str = ""

    @property
    def is_known(self) -> bool:
        """Whether there is a figure of enough samples."""
        return not self.unknown and self.actual is not None and self.samples >= self.samples_wanted

    @property
    def passed(self) -> bool:
        """Whether the figure meets the threshold; False without a figure."""
        return self.actual is not None and self.threshold.holds(self.actual)

    @property
    def figure(self) -> str:
        """The figure, its unit, and what limits its meaning."""
        if self.unknown:
            return self.unknown
        if self.actual is None:
            return "no such request"
        few = (
            ""
            if self.is_known
            else f" from {plural(self.samples, 'request')}; at least {self.samples_wanted} are needed"
        )
        return shown(self.threshold, self.actual) + few + (f", from {self.note}" if self.note else "")

    @property
    def text(self) -> str:
        """The figure and the threshold in one line."""
        if self.unknown or self.actual is None:
            return f"{self.threshold.text}: {self.figure}"
        return f"{self.threshold.metric} {self.figure} (limit {self.threshold.text})"


def shown(threshold: Threshold, value: float) -> str:
    """Return a figure in the unit of its threshold."""
    if threshold.is_time:
        return f"{value:.0f} ms"
    if threshold.is_share:
        return f"{value:.2%}"
    return f"{value:.{1 if value >= 1 else 2}f}/s" if threshold.metric == "rps" else f"{value:.0f}"


def check(
    thresholds: Iterable[Threshold], record: RunRecord, unanswered: Mapping[tuple[str, str], int] = _NOTHING
) -> tuple[Judged, ...]:
    """Check each threshold over its requests: without a tag, over all requests.

    `unanswered` is the number of requests without an answer, by method and name. They count as failures.

    A lower limit, such as `rps>50`, is skipped until the end of the run.
    """
    asked = (one for one in thresholds if not record.is_running or one.sign in UPPER)
    spreads = spreads_of(record.performance)
    return tuple(_judged(threshold, record, spreads, unanswered) for threshold in asked)


def _judged(
    threshold: Threshold, record: RunRecord, spreads: Sequence[Spread], unanswered: Mapping[tuple[str, str], int]
) -> Judged:
    if threshold.window:
        return _of_window(threshold, *threshold.window, over_time(record, sum(unanswered.values())))
    tags = dict(threshold.tags)
    if threshold.metric in OF_TASKS:
        return _of_tasks(threshold, record, tags.get("name", ""))
    unknown = _left_out(tags, record)
    if (quantile := threshold.quantile) is not None:
        outcome = tags.get("outcome")
        picked = [spread for spread in spreads if _is_about(tags, spread.method, spread.name)]
        times = together(
            part
            for spread in picked
            for part, name in ((spread.good, "good"), (spread.failed, "failed"))
            if outcome in (None, name)
        )
        unknown = unknown or _in_part(tags, record, spreads)
        return Judged(threshold, times.quantile(quantile), times.count, least_samples(quantile), unknown)
    rows = record.statistics.get("endpoints") or []
    of = (
        [row for row in rows if _is_about(tags, str(row.get("method") or ""), str(row.get("name") or ""))]
        if tags
        else [{**record.figures, **asdict(counts.failed(record))}]
    )
    if threshold.metric in ("failures", "fail_ratio"):
        never = sum(count for (method, name), count in unanswered.items() if _is_about(tags, method, name))
        of = [*of, {"requests": never, "failures": never}]
    requests = sum(int(row.get("requests") or 0) for row in of)
    return Judged(threshold, _figure(threshold.metric, of, requests), requests, unknown=unknown)


def _of_tasks(threshold: Threshold, record: RunRecord, name: str) -> Judged:
    """Judge the errors in users' code, or those of one `Class.task` if it is named."""
    errors = counts.task_errors(record)
    if counts.USERS not in record.meters:
        return Judged(threshold, None, 0, unknown="the runs of the tasks were not counted")
    count, runs = errors.count, errors.runs
    if name:
        if name not in errors.runs_of:
            return Judged(threshold, None, 0, unknown=f"no task {name} ran")
        count, runs = sum(group.count for group in errors.groups if group.name == name), errors.runs_of[name]
    share = min(1.0, count / runs) if runs else 0.0
    return Judged(threshold, share if threshold.metric == "task_error_ratio" else float(count), runs)


def _of_window(threshold: Threshold, which: str, seconds: float, steps: OverTime | None) -> Judged:
    """Judge the last seconds of the load, or the worst span of this length."""
    if steps is None:
        return Judged(threshold, None, 0, unknown="the requests of each second were not counted")

    def figure(window: Window) -> float:
        counted = {"fail_ratio": window.ratio, "failures": window.failures, "requests": window.requests}
        return counted.get(threshold.metric, window.requests / window.seconds)

    windows = [steps.newest(seconds)] if which == "last" else list(steps.windows(seconds))
    if threshold.metric == "fail_ratio" and which == "worst":
        windows = [window for window in windows if window.requests >= LEAST_REQUESTS] or windows[:1]
    worst = (max if threshold.sign in UPPER else min)(windows, key=figure)
    is_known = worst.requests or threshold.metric != "fail_ratio"
    return Judged(threshold, figure(worst) if is_known else None, worst.requests, note=worst.clock)


def _in_part(tags: Mapping[str, str], record: RunRecord, spreads: Sequence[Spread]) -> str:
    """Return why the times of a name are unknown: some of them are counted with other names."""
    if "name" not in tags or all(spread.name != OTHERS for spread in spreads):
        return ""
    rows = record.statistics.get("endpoints") or []
    requests = sum(
        int(row.get("requests") or 0)
        for row in rows
        if _is_about(tags, str(row.get("method") or ""), str(row.get("name") or ""))
    )
    timed = sum(spread.count for spread in spreads if _is_about(tags, spread.method, spread.name))
    return (
        ""
        if timed >= _NEARLY_ALL * requests
        else f"the times of {plural(requests - timed, 'request')} of that name are counted under {OTHERS}"
    )


def _left_out(tags: Mapping[str, str], record: RunRecord) -> str:
    """Return why the requests of a name or a method are unknown; "" if they are known."""
    left_out = int(record.statistics.get("endpoints_left_out") or 0)
    rows = record.statistics.get("endpoints") or []
    if not tags.keys() & {"name", "method"} or not (left_out or any(row.get("name") == OTHERS for row in rows)):
        return ""
    if "name" in tags and any(_is_about(tags, str(row.get("method") or ""), str(row.get("name"))) for row in rows):
        return ""
    others = [row.get("method") for row in rows if row.get("name") == OTHERS]
    if "name" not in tags and others and OTHERS not in others:
        return ""  # each method has all of its requests in rows
    kept = sum(1 for row in rows if row.get("name") != OTHERS)
    count = f": {left_out:,} of {left_out + kept:,}" if left_out else ""
    return f"names without a row of their own{count}; the threshold cannot be judged"


def _figure(metric: str, endpoints: Sequence[Mapping[str, Any]], requests: int) -> float | None:
    if metric == "requests":
        return float(requests)
    if not requests:
        return None
    if metric in ("failures", "fail_ratio"):
        failures = sum(int(end.get("failures") or 0) for end in endpoints)
        return failures / requests if metric == "fail_ratio" else float(failures)
    if metric == "rps":
        return sum(float(end.get("requests_per_second") or 0.0) for end in endpoints)
    if metric == "avg":
        return sum((end.get("average_ms") or 0.0) * int(end.get("requests") or 0) for end in endpoints) / requests
    times = [end[f"{metric}_ms"] for end in endpoints if end.get(f"{metric}_ms") is not None]
    return (min if metric == "min" else max)(times, default=None)


def _is_about(tags: Mapping[str, str], method: str, name: str) -> bool:
    return tags.get("name", name) == name and tags.get("method", method) == method


def spreads_of(performance: Mapping[str, Any]) -> tuple[Spread, ...]:
    """Return the times in performance.json; nothing if an older plugin wrote no buckets."""
    gamma = float(performance.get("gamma") or 0.0)
    if gamma <= 1:
        return ()
    return tuple(
        Spread(
            str(endpoint.get("method") or ""),
            str(endpoint.get("name") or ""),
            Times(gamma, _counts(endpoint.get("good"))),
            Times(gamma, _counts(endpoint.get("failed"))),
        )
        for endpoint in performance.get("endpoints") or []
    )


def _counts(part: Mapping[str, Any] | None) -> dict[int, int]:
    return {int(index): int(count) for index, count in ((part or {}).get("buckets") or {}).items()}
