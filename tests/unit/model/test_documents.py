"""The Snapshot as JSON, there and back, and text made harmless."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.common.text import clean
from sidecar.common.times import docker_time
from sidecar.model import document
from tests.fakes import sidecar_samples as samples


@pytest.mark.parametrize("scene", [samples.empty, samples.running, samples.stale, samples.trouble])
def test_a_snapshot_survives_the_way_there_and_back(scene: Any) -> None:
    written = document.dumps(scene())
    again = document.loads(written)
    assert document.dumps(again) == written
    assert again.containers == document.loads(document.dumps(again)).containers
    assert again.warnings == scene().warnings


@pytest.mark.parametrize("name", ["cluster", "oom", "trouble", "watched"])
def test_a_document_is_written_byte_for_byte_as_version_0_1_0_wrote_it(name: str) -> None:
    # But for what came since: `processes` of a worker, `trace_id` and `trace_url` of a failure, `users_by_class`.
    golden = (Path(__file__).parent / "data" / f"{name}.json").read_bytes().rstrip()
    assert document.dumps(getattr(samples, name)()) == golden
    assert document.dumps(document.loads(golden)) == golden


def test_the_document_has_the_fields_that_others_rely_on() -> None:
    made = json.loads(document.dumps(samples.running()))
    assert made["schema_version"] == 1
    assert made["at"] == "2026-11-22T15:04:05.000Z"
    assert {"project", "stale", "interval_seconds", "run", "services", "containers", "locust", "locust_error", "host",
            "warnings", "logs", "verdict", "failures", "endpoints", "incidents", "blind",
            "watched", "node", "leads", "nodes"} <= made.keys()  # fmt: skip
    worker = next(container for container in made["containers"] if container["service"] == "locust-worker")
    assert {"service", "index", "name", "id", "state", "health", "exit_code", "restarts", "started_at", "cpu_percent",
            "cpu_limit_percent", "throttled_percent", "memory_working_set_bytes", "memory_usage_bytes",
            "memory_limit_bytes", "memory_percent", "network_rx_bytes", "network_tx_bytes", "block_read_bytes",
            "block_write_bytes", "pids", "sampled_at", "project", "oom_kills", "oom_eta_seconds",
            "exit_reason", "node"} == worker.keys()  # fmt: skip
    assert {
        "id",
        "container",
        "state",
        "users",
        "cpu_percent",
        "memory_bytes",
        "locustfile_changed",
        "remote",
        "processes",
    } == made["locust"]["workers"][0].keys()


def test_unknown_fields_are_passed_over() -> None:
    value = json.loads(document.dumps(samples.running()))
    value["not_yet_known"] = [1]
    value["containers"][0]["not_yet_known"] = 3
    assert document.loads(json.dumps(value)).project == "locust"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"project": 3}, "snapshot.project is 3; expected: str"),
        ({"stale": "no"}, "snapshot.stale is 'no'; expected: bool"),
        ({"at": "noon"}, "snapshot.at is 'noon'; expected: an RFC 3339 time"),
        ({"containers": {}}, "snapshot.containers is {}; expected: a list"),
        ({"host": []}, r"snapshot.host is \[\]; expected: an object"),
        ({"interval_seconds": True}, "snapshot.interval_seconds is True; expected: float"),
        ({"at": "2026-11-22T15:04:05"}, "snapshot holds a time without a zone"),
        ({"blind": [{}]}, r"snapshot.blind\[0\] has no field since"),
        ({"nodes": [{"name": "n", "answers": 1}]}, r"snapshot.nodes\[0\].answers is 1; expected: bool"),
        (
            {"incidents": [{"kind": "oom"}]},
            r"snapshot.incidents\[0\].kind is 'oom'; expected: one of oom_kill, restart",
        ),
        ({"incidents": [{"kind": 7}]}, r"snapshot.incidents\[0\].kind is 7; expected: IncidentKind"),
    ],
)
def test_a_wrong_type_is_told_with_field_value_and_wish(change: dict[str, Any], complaint: str) -> None:
    value = {**json.loads(document.dumps(samples.running())), **change}
    with pytest.raises(document.DocumentError, match=complaint):
        document.loads(json.dumps(value))


@pytest.mark.parametrize(
    "text", ["", "<html>", "[1]", "{}", '{"project": "\\ud800"}', '{"round_seconds": NaN}', '{"x":' + "[" * 100_000]
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(document.DocumentError):
        document.loads(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "", "yesterday", None, 5])
def test_dockers_never_and_nonsense_are_no_time(text: object) -> None:
    assert docker_time(text) is None


def test_dockers_nanoseconds_are_read() -> None:
    found = docker_time("2026-11-22T08:53:59.962485977Z")
    assert found is not None
    assert found.isoformat() == "2026-11-22T08:53:59.962485+00:00"


@pytest.mark.parametrize(
    ("dirty", "harmless"),
    [
        ("plain ünïcödé 测试 ✓", "plain ünïcödé 测试 ✓"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq...\x1b\\after", "after"),
        ("\x9b31mc1", "c1"),
        ("a\tb\rc\nd", "a b c d"),
        ("del\x7f nul\x00 bell\x07", "del nul bell"),
        ("right\u202eleft\u2066x\u200bzero", "rightleftxzero"),
        ("half an escape \x1b", "half an escape "),
        ("\x1b[", ""),
    ],
)
def test_text_from_a_container_is_made_harmless(dirty: str, harmless: str) -> None:
    cleaned = clean(dirty)
    assert cleaned == harmless
    assert cleaned.isprintable()
