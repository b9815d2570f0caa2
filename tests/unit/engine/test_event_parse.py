"""Lines of the event stream, as the engine wrote them, and as a hostile container can make them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.engine.events import VERBS, parse_event, parse_line
from sidecar.model.signal import DockerEvent, Owner
from tests.fakes.fake_tree import DATA

ID = "ab" * 32


def recorded(name: str) -> list[DockerEvent]:
    found = (parse_line(line, 5) for line in (DATA / f"{name}.jsonl").read_bytes().splitlines())
    return [event for event in found if event is not None]


def made(action: str = "die", **attributes: str) -> dict[str, Any]:
    return {"Type": "container", "Action": action, "Actor": {"ID": ID, "Attributes": attributes}, "timeNano": 7}


def test_a_restart_policy_gives_die_and_start_over_and_over() -> None:
    verbs = [event.action for event in recorded("v1/events_c")]
    assert verbs[:7] == ["create", "start", "oom", "die", "start", "oom", "die"]
    assert verbs.count("start") == verbs.count("die")
    assert "connect" not in verbs  # a network's event


def test_a_kill_has_its_signal_and_a_die_its_exit_code() -> None:
    events = {event.action: event for event in recorded("v1/events_d5_control_kill_137")}
    assert (events["kill"].signal, events["kill"].exit_code) == (9, None)
    assert (events["die"].exit_code, events["die"].signal) == (137, None)


def test_a_stop_is_a_kill_with_its_signal_before_the_stop_and_the_die() -> None:
    told = [(event.action, event.signal, event.exit_code) for event in recorded("v2/events_d4_init_stop_143")]
    assert told[2:] == [("oom", None, None), ("kill", 15, None), ("stop", None, None), ("die", None, 143)]


def test_kills_of_children_come_without_any_end() -> None:
    assert [event.action for event in recorded("v2/events_b")] == ["create", "start", "oom", "oom", "oom"]


def test_the_time_is_the_engines_own_to_the_nanosecond() -> None:
    assert recorded("v1/events_c")[0].ns == 1795337697195476362


def test_what_docker_exec_does_is_left_out_and_its_oom_kill_is_not() -> None:
    verbs = [event.action for event in recorded("v1/events_d7_exec_oom")]
    assert "oom" in verbs
    assert set(verbs) <= set(VERBS)


def test_the_line_is_kept_as_it_came() -> None:
    line = (DATA / "v1/events_c.jsonl").read_bytes().splitlines()[0]
    event = parse_line(line, 5)
    assert event is not None
    assert event.raw == line.decode()
    assert event.received_ns == 5


def test_the_new_api_without_status_and_id_is_read_alike() -> None:
    for line in (DATA / "v1/events_d5_control_kill_137.jsonl").read_bytes().splitlines():
        payload = json.loads(line)
        slim = {key: value for key, value in payload.items() if key not in ("status", "id", "from")}
        assert parse_event(slim) == parse_event(payload)


def test_the_owner_comes_from_the_compose_labels() -> None:
    event = parse_event(
        made(
            **{
                "name": "shop-api-2",
                "com.docker.compose.project": "shop",
                "com.docker.compose.service": "api",
                "com.docker.compose.container-number": "2",
            }
        )
    )
    assert event is not None
    assert event.owner == Owner("shop-api-2", "shop", "api", 2)


@pytest.mark.parametrize("label", [{"io.locust-kit.role": "selftest"}, {"com.docker.compose.oneoff": "True"}])
def test_our_own_helpers_are_known_by_their_label(label: dict[str, str]) -> None:
    event = parse_event(made(name="x", **label))
    assert event is not None
    assert event.owner.helper


def test_a_health_status_is_taken_apart() -> None:
    event = parse_event(made("health_status: unhealthy"))
    assert event is not None
    assert (event.action, event.health) == ("health_status", "unhealthy")


def test_labels_that_pose_as_dockers_attributes_do_no_harm() -> None:
    event = parse_event(made(exitCode="²", **{"com.docker.compose.container-number": "٣", "name": "\x1b[31mred"}))
    assert event is not None
    assert (event.exit_code, event.owner.index, event.owner.name) == (None, None, r"\x1b[31mred")


@pytest.mark.parametrize(
    "payload",
    [
        made("exec_start: sh"),
        {**made(), "Type": "network"},
        {**made(), "Actor": {}},
        {**made(), "Actor": None},
        {},
    ],
)
def test_what_is_no_event_of_a_container_is_passed_over(payload: dict[str, Any]) -> None:
    assert parse_event(payload) is None


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_line_that_is_no_object_is_passed_over(line: bytes) -> None:
    assert parse_line(line, 0) is None
