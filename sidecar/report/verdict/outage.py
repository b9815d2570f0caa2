"""Find failures that come together. An outage makes a run FAIL; a concentration is reported with any verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from sidecar.common.units import plural
from sidecar.model.incident import IncidentKind
from sidecar.model.run_record import RunRecord
from sidecar.report.verdict.over_time import LEAST_REQUESTS, OverTime, Window, over_time

SECONDS = 10.0
_END_SECONDS = 2.0  # before the end of the load: an outage that lasts until then has not ended
_MOST_OF_THEM = 0.9
_CONCENTRATED = ((10, 0.25), (5, 0.1))  # (failures, share of the time) that is not by chance
_TIMES_AS_MANY = 2.0  # failures within that time, against the share of the requests


def outages(record: RunRecord, limit: float, unanswered: int = 0) -> tuple[Window, ...]:
    """Return the spans in which at least this share of the requests failed, in windows of ten seconds."""
    steps = over_time(record, unanswered)
    if steps is None or limit <= 0:
        return ()
    merged: list[tuple[int, int]] = []
    for window in steps.windows(SECONDS):
        if window.requests >= LEAST_REQUESTS and window.ratio >= limit:
            if merged and window.first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], window.last)
            else:
                merged.append((window.first, window.last))
    return tuple(_tight(steps, first, last) for first, last in merged)


def _tight(steps: OverTime, first: int, last: int) -> Window:
    """Return the span from its first failure to its last: a window may begin with successful requests."""
    failing = [number for number in range(first, last + 1) if steps.failures[number]]
    return steps.window(failing[0], failing[-1])


def lines(record: RunRecord, limit: float, unanswered: int = 0) -> Iterator[str]:
    """Yield a line on the first outage, with the number of others."""
    if record.is_running and limit and float(record.groups.get("recent_ratio") or 0) >= limit:
        yield f"outage: at least {limit:.0%} of the requests of the last {SECONDS:.0f} s failed"
    found = outages(record, limit, unanswered)
    if not found:
        return
    first = found[0]
    ended = "" if _is_over(record, first) else ", until the end"
    others = f"; {plural(len(found) - 1, 'more outage')}" if len(found) > 1 else ""
    yield (
        f"outage: {first.ratio:.0%} of {first.requests} requests failed from {first.clock} ({first.seconds:.0f} s)"
        f"{ended}; the limit is {limit:.0%} of any {SECONDS:.0f} s{_incident(record)}{others}"
    )


def _is_over(record: RunRecord, window: Window) -> bool:
    return (record.load_until - window.until).total_seconds() > _END_SECONDS


def _incident(record: RunRecord) -> str:
    """Name the incident that the monitor opened for the share of failures; "" without one."""
    found = (one for one in record.incidents if one.kind is IncidentKind.FAILURE_RATIO)
    incident = next((one for one in found if one.at >= record.started_at), None)
    return f" (incident {incident.kind} at {incident.at:%H:%M:%S} UTC)" if incident else ""


def concentration(record: RunRecord, unanswered: int = 0) -> str:
    """Return when nearly all failures came, if that is a small part of the run; "" if they are spread."""
    steps = over_time(record, unanswered)
    total = sum(steps.failures) if steps else 0
    if steps is None or not total:
        return ""
    span = _shortest(steps, total)
    share_of_time = span.seconds / (steps.length * steps.step)
    is_dense = any(total >= least and share_of_time <= most for least, most in _CONCENTRATED)
    others = sum(steps.requests) - span.requests
    outside = (total - span.failures) / others if others else 0.0
    if not is_dense or span.ratio < _TIMES_AS_MANY * outside or span.requests == sum(steps.requests):
        return ""
    which = f"all {total} failures" if span.failures == total else f"{span.failures} of {total} failures"
    then = f": {span.ratio:.0%} of the requests in that time failed"
    if _is_over(record, span):
        return f"{which} came from {span.since:%H:%M:%S} UTC for {span.seconds:.0f} s, then it recovered{then}"
    return f"{which} came in the last {span.seconds:.0f} s (from {span.since:%H:%M:%S} UTC){then}{_incident(record)}"


def _shortest(steps: OverTime, total: int) -> Window:
    """Return the shortest span with nearly all failures; with all of them if that is hardly longer."""
    failing = [number for number, count in enumerate(steps.failures) if count]
    whole = steps.window(failing[0], failing[-1])
    sums = [0, *accumulate(steps.failures)]
    best, first = whole, 0
    for last in failing:
        while sums[last + 1] - sums[first + 1] >= _MOST_OF_THEM * total:
            first += 1
        if sums[last + 1] - sums[first] >= _MOST_OF_THEM * total and last - first < best.last - best.first:
            best = steps.window(first, last)
    return whole if whole.seconds <= best.seconds + 2 * steps.step else best
