"""Find what a run's record lacks: without evidence, good figures prove nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from sidecar.model.observation import PluginStatus
from sidecar.model.run_record import RunRecord, Unknown
from sidecar.report.verdict.reason import InvalidReason, share_of

_SILENT = timedelta(seconds=15)  # the master writes each second; a busy machine leaves out some


def record_problem(plugin: PluginStatus) -> str:
    """Return why the master cannot record its current or last run; "" if it can."""
    return f"the master cannot write the run's record: {plugin.record_error}" if plugin.record_error else ""


def not_recorded(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield what is missing in the record of a run."""
    if record.unwritten:
        yield InvalidReason("not_recorded", record.unwritten)
    yield from _unrecorded_incidents(record)
    if record.ended_at is None or Unknown.SECONDS in record.unknown:
        return
    yield from _silent_plugin(record)
    if record.end.get("requests") and not record.figures:
        yield InvalidReason("not_recorded", "Locust's figures (statistics.json) are not in the run's record")


def recorded_to_the_end(record: RunRecord) -> bool:
    """Return whether the monitor recorded everything up to the run's end, as far as is known."""
    if record.recorded_until is None:  # an older kit's ledger, or one that was never written
        return not record.recording_error
    return record.recorded_until >= record.until


def _unrecorded_incidents(record: RunRecord) -> Iterator[InvalidReason]:
    if record.is_running or recorded_to_the_end(record):
        if record.is_running and record.recording_error:
            yield InvalidReason("not_recorded", record.recording_error)
        return
    since = max(record.recorded_until or record.started_at, record.started_at)
    seconds = (record.until - since).total_seconds()
    why = record.recording_error or "the monitor wrote nothing after that"
    text = f"the containers were not watched from {since:%H:%M:%S} UTC to the end, {seconds:.0f} s: {why}"
    yield InvalidReason("not_recorded", text, since, seconds, share_of(seconds, record))


def _silent_plugin(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield the longest span without a recorded second. A long run is read in larger steps."""
    times = [moment.at for moment in record.moments]
    if not times:
        yield InvalidReason("not_recorded", "the master recorded no second of the run (timeline.ndjson)")
        return
    step = min((later - earlier for earlier, later in pairwise(times)), default=timedelta())
    spans = pairwise([record.started_at, *times, record.until])
    since, until = max(spans, key=lambda span: span[1] - span[0])
    if until - since > max(_SILENT, 3 * step):
        seconds = (until - since).total_seconds()
        text = f"the master recorded nothing from {since:%H:%M:%S} to {until:%H:%M:%S} UTC, for {seconds:.0f} s"
        yield InvalidReason("not_recorded", text, since, seconds, share_of(seconds, record))
