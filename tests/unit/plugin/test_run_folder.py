"""The identity of a run and its two marks on disk."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from locust_kit import run_folder

AT = datetime(2026, 11, 22, 15, 4, 5, 678900, tzinfo=UTC)


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    first, second = run_folder.begin(AT), run_folder.begin(AT)
    later = run_folder.begin(AT + timedelta(seconds=1))
    assert re.fullmatch(r"20261122T150405Z-[0-9a-f]{8}", first.run_id)
    assert len({first.run_id, second.run_id, later.run_id}) == 3
    assert later.run_id > first.run_id


def test_a_run_that_began_has_no_end_marker(tmp_path: Path) -> None:
    run = run_folder.begin(AT)
    run_folder.make(run, {"host": "http://mock-target:8080"}, tmp_path)
    document = json.loads((tmp_path / run.run_id / "run.json").read_text())
    assert document["schema_version"] == 1
    assert (document["state"], document["started_at"]) == ("running", "2026-11-22T15:04:05.678Z")
    assert document["host"] == "http://mock-target:8080"
    assert [path.name for path in (tmp_path / run.run_id).iterdir()] == ["run.json"]


def test_the_end_marker_says_when_it_ended() -> None:
    run = run_folder.ended(run_folder.stopping(run_folder.begin(AT)), AT + timedelta(minutes=1))
    document = run_folder.document(run, {"requests": 7})
    assert (document["state"], document["ended_at"], document["requests"]) == ("stopped", "2026-11-22T15:05:05.678Z", 7)
