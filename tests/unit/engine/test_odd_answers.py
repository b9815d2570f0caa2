"""The engine's answers when they are not what Docker documents: an error that names the field, and never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.engine.events import parse_line
from sidecar.engine.fields import OddAnswerError
from sidecar.engine.log_lines import LineReader
from sidecar.engine.payload import inspected, inspection, listed, owners
from sidecar.engine.stats import counters
from tests.fakes.sidecar_samples import recorded

ID = "ab" * 32
EVENT = {"Type": "container", "Action": "die", "timeNano": 10**18, "Actor": {"ID": ID, "Attributes": {}}}


def changed(payload: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(payload))
    *parents, last = path.split(".")
    inner = made
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return made


@pytest.mark.parametrize("value", ["12", -5, 10**400, float("nan"), float("inf"), [1], {"a": 1}, True, 1.5])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("memory_stats.usage", "memory usage"),
        ("memory_stats.limit", "memory limit"),
        ("cpu_stats.cpu_usage.total_usage", "total_usage"),
        ("cpu_stats.system_cpu_usage", "system_cpu_usage"),
        ("cpu_stats.online_cpus", "online_cpus"),
        ("pids_stats.current", "pids"),
    ],
)
def test_a_figure_that_is_none_is_named(path: str, name: str, value: Any) -> None:
    with pytest.raises(OddAnswerError, match=f"invalid: {name} is .*expected: a whole number"):
        counters(changed(recorded("v2/stats_one_shot"), path, value))


@pytest.mark.parametrize("part", ["memory_stats", "cpu_stats", "networks", "blkio_stats", "pids_stats"])
@pytest.mark.parametrize("value", ["x", [1], 5])
def test_a_part_of_the_stats_that_is_no_object_is_named(part: str, value: Any) -> None:
    with pytest.raises(OddAnswerError, match=part):
        counters(changed(recorded("v2/stats_one_shot"), part, value))


@pytest.mark.parametrize("part", ["networks", "blkio_stats", "pids_stats"])
def test_a_part_of_the_stats_that_is_null_costs_only_itself(part: str) -> None:
    assert counters(changed(recorded("v2/stats_one_shot"), part, None)) is not None


def test_the_largest_counters_are_figures() -> None:
    made = counters(changed(recorded("v2/stats_one_shot"), "memory_stats.usage", 2**64 - 1))
    assert made is not None
    assert made.memory_usage_bytes == 2**64 - 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("State", "x"),
        ("State.ExitCode", "x"),
        ("State.ExitCode", 10**30),
        ("State.Status", 5),
        ("RestartCount", "x"),
        ("RestartCount", 10**30),
        ("HostConfig", "x"),
        ("HostConfig.Memory", "x"),
        ("HostConfig.NanoCpus", "x"),
        ("Config", [1]),
        ("Id", None),
        ("Id", "../x\r\n"),
    ],
)
def test_an_inspect_with_an_odd_field_is_an_error_that_is_said(path: str, value: Any) -> None:
    odd = changed(recorded("v1/inspect_c_restarting"), path, value)
    with pytest.raises(OddAnswerError):
        (inspected(odd), inspection(odd, 1))


@pytest.mark.parametrize(
    "further",
    [
        {"Names": None},
        {"Names": [5]},
        {"Names": [""]},
        {"Labels": [1]},
        {"Labels": {"com.docker.compose.container-number": "²"}},
        {"Labels": {"com.docker.compose.container-number": "9" * 5000}},
        {"Labels": {"com.docker.compose.service": 5}},
        {"State": ["running"], "Status": 5},
    ],
)
def test_an_odd_container_in_a_list_hides_no_other(further: dict[str, Any]) -> None:
    entries = [{"Id": ID, **further}, {"Id": "cd" * 32, "Names": ["/web"]}]
    assert [one.name for one in listed(entries)][1:] == ["web"]
    assert [one.name for _, one in owners(entries)][1:] == ["web"]


def test_a_state_with_escapes_is_harmless() -> None:
    (made,) = listed([{"Id": ID, "State": "\x1b[31mrun\ud800ning"}])
    assert made.state == "running"


@pytest.mark.parametrize(
    "further",
    [
        {"Actor": []},
        {"Actor": {"ID": 5}},
        {"Actor": {"ID": "../x y\r\n"}},
        {"Actor": {"ID": ID, "Attributes": [1]}},
        {"timeNano": "x", "time": []},
        {"timeNano": 10**30, "time": 10**30},
        {"timeNano": -5, "time": -5},
        {"Action": 5},
    ],
)
def test_an_odd_event_is_passed_over(further: dict[str, Any]) -> None:
    assert parse_line(json.dumps({**EVENT, **further}).encode(), 0) is None


@pytest.mark.parametrize("name", ["exitCode", "com.docker.compose.container-number"])
@pytest.mark.parametrize("value", ["9" * 5000, "9" * 30, "²", "-1", ""])
def test_a_label_with_an_absurd_number_is_none(name: str, value: str) -> None:
    event = parse_line(json.dumps({**EVENT, "Actor": {"ID": ID, "Attributes": {name: value}}}).encode(), 0)
    assert event is not None
    assert (event.exit_code, event.owner.index) == (None, None)


def test_a_line_nested_too_deep_is_no_event() -> None:
    assert parse_line(b"[" * 200_000, 0) is None


@pytest.mark.parametrize("stamp", ["2026-13-45T99:99:99", "9999-12-31T23:59:59", "0000-00-00T00:00:00"])
def test_what_looks_like_a_stamp_in_a_terminals_log_is_text(stamp: str) -> None:
    line = f"2026-11-22T08:15:28.000000000Z I print {stamp}.000000000Z myself\n".encode()
    (made,) = LineReader(tty=True).feed(line)
    assert made.text() == f"I print {stamp}.000000000Z myself"
