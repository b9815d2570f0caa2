"""What the master's workers reported and nobody could count. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.common.times import docker_time
from sidecar.common.units import plural
from sidecar.model.run_record import RunRecord
from sidecar.report.verdict.reading import objects
from sidecar.report.verdict.reason import InvalidReason

_MOST_SAID = 3


def unheard(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield that figures of workers are missing, though these ran; the master knows whose."""
    reports = record.meters.get("reports", {})
    yield from _silent(objects(reports.get("silent_workers")))
    yield from _refused(objects(reports.get("refused")))


def _silent(rows: list[Mapping[str, Any]]) -> Iterator[InvalidReason]:
    """Yield that workers with users sent no statistics for a while, though their heartbeats went on."""
    for row in rows[:_MOST_SAID]:
        at, seconds = docker_time(row.get("at")), float(row.get("seconds") or 0.0)
        since = f" from {at:%H:%M:%S} UTC" if at else ""
        text = (
            f"worker {row.get('worker')} sent no statistics for {seconds:.0f} s{since}, with {row.get('users')} users: "
            "what these requested is not counted; see the worker's log"
        )
        yield InvalidReason("worker_silent", text, at, seconds)


def _refused(rows: list[Mapping[str, Any]]) -> Iterator[InvalidReason]:
    """Yield that the master refused reports that held figures: nobody knows what they were."""
    with_figures = [row for row in rows if row.get("changes_figures")]
    if not with_figures:
        return
    count = sum(int(row.get("count") or 0) for row in with_figures)
    said = [f"{row.get('worker')}: {row.get('reason')}" for row in with_figures[:_MOST_SAID]]
    more = "" if len(with_figures) <= _MOST_SAID else f"; and {len(with_figures) - _MOST_SAID} more"
    text = (
        f"{plural(count, 'report')} of workers could not be true, and nothing of them is counted "
        f"({'; '.join(said)}{more}): the master's log has the value; run the kit's own image on each worker"
    )
    first_at = min(filter(None, (docker_time(row.get("first_at")) for row in with_figures)), default=None)
    yield InvalidReason("report_refused", text, first_at)
