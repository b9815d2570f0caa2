"""A whole run of a Locust with the plugin: each of its failures is received, and the status says so."""

from __future__ import annotations

from pathlib import Path

from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_master.py")


def test_each_failure_of_a_run_is_received_and_in_the_status(tmp_path: Path) -> None:
    found = printed(PROGRAM, "on", KIT_RUNS_DIR=str(tmp_path))
    assert found["failures"] > 10
    assert (found["received"], found["push"]["sent_rows"]) == (found["failures"], found["failures"])
    assert (found["runs"], found["labels"]) == ([found["run_id"]], {"env": "staging"})
    assert set(found["push"]) == {
        "url", "sent_rows", "sent_batches", "waiting_rows", "waiting_bytes", "dropped_rows", "refused_rows", "retries",
        "last_error", "last_ok_at",
    }  # fmt: skip
    assert (found["push"]["waiting_rows"], found["push"]["retries"]) == (0, 1)


def test_without_a_url_the_status_says_null_and_there_is_no_spool(tmp_path: Path) -> None:
    found = printed(PROGRAM, "off", KIT_RUNS_DIR=str(tmp_path))
    assert found["failures"] > 10
    assert (found["push"], list(tmp_path.rglob("push"))) == (None, [])
