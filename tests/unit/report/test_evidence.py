"""A run whose record has a hole is no evidence, however good its figures are."""

from __future__ import annotations

import pytest

from sidecar.model.observation import PluginStatus
from sidecar.model.run_record import RunRecord, Unknown
from sidecar.report.verdict.evidence import record_problem
from sidecar.report.verdict.judge import judge
from tests.fakes.run_scene import LENGTH, after, clean

FULL = "incidents cannot be recorded: database or disk is full"
SILENT = "the monitor wrote nothing after that"
ALL = clean().moments


@pytest.mark.parametrize(
    ("record", "texts"),
    [
        (clean(), []),
        (clean(recorded_until=after(LENGTH)), []),
        (clean(recorded_until=after(LENGTH), recording_error=FULL), []),  # what came later is of another run
        (
            clean(recorded_until=after(45), recording_error=FULL),
            [f"the containers were not watched from 01:02:48 UTC to the end, 15 s: {FULL}"],
        ),
        (
            clean(recorded_until=after(-5)),
            [f"the containers were not watched from 01:02:03 UTC to the end, 60 s: {SILENT}"],
        ),
        (
            clean(recording_error=FULL),  # a ledger that was never written
            [f"the containers were not watched from 01:02:03 UTC to the end, 60 s: {FULL}"],
        ),
        (clean(is_running=True, ended_at=None, recording_error=FULL), [FULL]),
        (clean(is_running=True, ended_at=None, recorded_until=after(10)), []),  # the rest is on its way
        (clean(unwritten="the master cannot write"), ["the master cannot write"]),
        (clean(moments=()), ["the master recorded no second of the run (timeline.ndjson)"]),
        (clean(moments=(), unknown=frozenset({Unknown.SECONDS})), []),  # a master without the plugin
        (
            clean(moments=ALL[:20]),
            ["the master recorded nothing from 01:02:22 to 01:03:03 UTC, for 41 s"],
        ),
        (clean(moments=(*ALL[:20], *ALL[34:])), []),  # a machine that was busy
        (clean(moments=ALL[30:]), ["the master recorded nothing from 01:02:03 to 01:02:33 UTC, for 30 s"]),
        (clean(moments=ALL[::10]), []),  # of a long run some seconds are read
        (clean(statistics={}), ["Locust's figures (statistics.json) are not in the run's record"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(record: RunRecord, texts: list[str]) -> None:
    verdict = judge(record)
    assert [reason.text for reason in verdict.broken if reason.kind == "not_recorded"] == texts
    assert (verdict.word == "INVALID") == bool(texts)


def test_a_master_that_cannot_write_is_named() -> None:
    assert record_problem(PluginStatus(None)) == ""
    status = PluginStatus(None, record_error="No space left on device")
    assert record_problem(status) == "the master cannot write the run's record: No space left on device"
