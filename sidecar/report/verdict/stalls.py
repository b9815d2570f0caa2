"""Find stalls of the workers' event loops. In a stall no user of the worker continues, and all times grow. Pure.

The plugin measures stalls (its meters/loop.py) in seconds so far, by worker. It separates code that blocked the loop
from waiting for a CPU. Sustained stalls above the limit make the run INVALID; less is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sidecar.common.units import plural
from sidecar.model.run_record import RunRecord
from sidecar.report.verdict.reason import GeneratorLimits, Held, InvalidReason, Sustained, lasting

_METER = "loop"
_STARVED = 0.5  # of a worker's time: on a busy machine, less is usual
_WORTH_A_WORD = 0.01  # of a worker's time
_SO_FAR_SECONDS = 10.0  # a run is not judged earlier

_TOO_LONG = "the response times of all its users are too long"
_ADVICE = {
    "blocked": "run this call in gevent.get_hub().threadpool.apply(), or use a library that works with gevent",
    "starved": "increase WORKER_CPUS, run fewer WORKERS than the machine has CPUs, or run less beside them",
    "busy": "increase WORKERS",
}


def sustained(record: RunRecord, limits: GeneratorLimits) -> Iterator[InvalidReason]:
    """Yield that code blocked a worker's loop, or that a worker waited for a CPU, for too long."""
    shares = {"blocked": limits.blocked_share, "starved": _STARVED}
    for kind, share in shares.items():
        worst = _worst(record, kind)
        if not worst or not limits.blocked_share:
            continue
        span = _span(record, kind, share, worst)
        if span and (not record.moments or span.is_sustained(record.seconds, limits.sustained)):
            yield lasting(f"generator_{kind}", _said(kind, worst), span, record, f": {_TOO_LONG}; {_ADVICE[kind]}")


def warnings(record: RunRecord, limits: GeneratorLimits) -> Iterator[str]:
    """Yield stalls that break nothing."""
    broken = {reason.kind for reason in sustained(record, limits)}
    for kind, advice in _ADVICE.items():
        worst = _worst(record, kind)
        seconds = _number(worst, "seconds")
        if f"generator_{kind}" not in broken and seconds >= _WORTH_A_WORD * _number(worst, "observed_seconds") > 0:
            yield f"{_said(kind, worst)}: {_TOO_LONG}; {advice}"


def worst_share(record: RunRecord) -> float:
    """Return the worst share of a worker's time in stalls, over all workers and kinds."""
    every = (_worst(record, kind) for kind in _ADVICE)
    return max(_number(worst, "seconds") / max(1.0, _number(worst, "observed_seconds")) for worst in every)


def _said(kind: str, worst: Mapping[str, Any]) -> str:
    """Return how often, how long and where a worker's loop stalled."""
    times = plural(int(_number(worst, "count")), "time")
    figures = f"{times}, {_number(worst, 'seconds'):.1f} s in total, {_number(worst, 'longest_ms'):.0f} ms at most"
    if kind == "starved":
        return f"a worker waited for a CPU {figures}"
    if kind == "busy":
        return f"a worker's loop took over 100 ms for one round of all users that were ready, {figures}"
    places = [str(row.get("place")) for row in worst.get("places") or [] if isinstance(row, Mapping)]
    others = f" and {plural(len(places) - 1, 'other place')}" if len(places) > 1 else ""
    return f"a worker's loop was blocked {figures}{f', in {places[0]}{others}' if places else ''}"


def _span(record: RunRecord, kind: str, share: float, worst: Mapping[str, Any]) -> Held | None:
    """Return when stalls took more than a share of a worker's time.

    Without the run's seconds only the sum is known. Then one long stall alone is not sustained.
    """
    if record.moments:
        spans = [_stretches(points, share) for points in _by_worker(record, f"{kind}_seconds").values()]
        return max(filter(None, spans), key=lambda span: span.longest, default=None)
    observed, stalled = _number(worst, "observed_seconds"), _number(worst, "seconds")
    rest = stalled - _number(worst, "longest_ms") / 1000
    if observed < _SO_FAR_SECONDS or rest <= share * observed:
        return None
    return Held(record.started_at, observed, observed)


def _stretches(points: list[tuple[datetime, float]], share: float) -> Held | None:
    """Return the stretches of 10 s and more in which stalls took more than a share of the time; None without any.

    A stretch begins with a stall, and ends when the share is no longer exceeded. It lasts until the stall with the
    largest excess over that share.
    """
    found: list[tuple[datetime, float]] = []
    begin = end = points[0][0]
    stalled = most = 0.0
    for (_, earlier), (now, later) in pairwise(points):
        gained = later - earlier
        if not gained:
            continue
        surplus = stalled + gained - share * (now - begin).total_seconds()
        if not most or surplus <= 0:
            begin = max(end, now - timedelta(seconds=gained))
            stalled, most, surplus = 0.0, 0.0, gained - share * (now - begin).total_seconds()
        stalled += gained
        if surplus > most:
            if most:
                found.pop()
            most, end = surplus, now
            found.append((begin, max(stalled, (end - begin).total_seconds())))
    found = [(at, seconds) for at, seconds in found if seconds >= Sustained.LEAST_SECONDS]
    lengths = [seconds for _, seconds in found]
    return Held(found[0][0], sum(lengths), max(lengths)) if found else None


def _by_worker(record: RunRecord, figure: str) -> dict[str, list[tuple[datetime, float]]]:
    """Return a figure so far at each moment and at the end, for each worker that any moment has."""
    rows = [(moment.at, _object(moment.meters.get(_METER))) for moment in record.moments]
    rows.append((max(record.until, rows[-1][0]), _object(record.meters.get(_METER))))
    by_worker = [(at, _object(row.get("by_worker"))) for at, row in rows]
    found: dict[str, list[tuple[datetime, float]]] = {
        worker: [(record.started_at, 0.0)] for _, workers in by_worker for worker in workers
    }
    for at, workers in by_worker:
        for worker, points in found.items():
            points.append((at, max(points[-1][1], _number(_object(workers.get(worker)), figure))))
    return found


def _worst(record: RunRecord, kind: str) -> Mapping[str, Any]:
    """Return the figures of the worker with the longest stalls; empty without stalls or without a meter."""
    return _object(_object(_object(record.meters.get(_METER)).get("worst")).get(kind))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(document: Mapping[str, Any], name: str) -> float:
    """Return a finite number of a document; 0 for anything else."""
    value = document.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
