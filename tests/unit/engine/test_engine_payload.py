"""How the engine's list, inspect and log answers are read."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.common.errors import EngineError
from sidecar.engine.docker_engine import agreed_version
from sidecar.engine.log_lines import log_entries
from sidecar.engine.payload import inspected, listed
from tests.fakes.sidecar_samples import recorded


def entry(**changes: Any) -> dict[str, Any]:
    labels = {
        "com.docker.compose.project": "locust",
        "com.docker.compose.service": "locust-worker",
        "com.docker.compose.container-number": "3",
        "com.docker.compose.oneoff": "False",
    }
    made = {"Id": "ab" * 32, "Names": ["/locust-locust-worker-3"], "State": "running", "Labels": labels}
    return {**made, "Status": "Up 4 minutes", **changes}


def test_a_container_is_known_by_its_compose_labels() -> None:
    (one,) = listed([entry()])
    assert (one.service, one.index, one.name, one.state) == ("locust-worker", 3, "locust-locust-worker-3", "running")


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 4 minutes", None),
        ("Up 4 minutes (healthy)", "healthy"),
        ("Up 4 minutes (unhealthy)", "unhealthy"),
        ("Up 1 second (health: starting)", "starting"),
        ("Exited (137) 3 minutes ago", None),
    ],
)
def test_health_is_read_from_the_status(status: str, health: str | None) -> None:
    (one,) = listed([entry(Status=status)])
    assert one.health == health


@pytest.mark.parametrize("label", [{"com.docker.compose.oneoff": "True"}, {"io.locust-kit.role": "check"}])
def test_one_off_containers_and_our_own_helpers_are_left_out(label: dict[str, str]) -> None:
    helper = entry()
    helper["Labels"] = {**helper["Labels"], **label}
    assert [one.index for one in listed([helper, entry()])] == [3]


def test_terminal_escapes_in_a_service_label_are_shown() -> None:
    evil = entry()
    evil["Labels"] = {
        "com.docker.compose.service": "a\x1b[31mb\u202ec",
        "com.docker.compose.container-number": "1",
    }
    (one,) = listed([evil])
    assert one.service == r"a\x1b[31mb\u202ec"  # no other service's name


@pytest.mark.parametrize("cgroup", ["v1", "v2"])
def test_inspect_of_a_running_container_tells_limit_and_start(cgroup: str) -> None:
    payload = recorded(f"{cgroup}/stats_running_inspect")
    found = inspected(payload)
    assert found.memory_limit_bytes == 201326592
    assert found.exit_code is None
    assert found.started_at is not None
    assert found.started_at.isoformat().startswith(payload["State"]["StartedAt"][:19])
    assert found.hostname == payload["Config"]["Hostname"]


def test_inspect_of_an_ended_container_tells_its_exit_code() -> None:
    assert inspected(recorded("v1/inspect_a_main_oomkilled")).exit_code == 137


def test_inspect_of_a_restarting_container_tells_how_often_and_why() -> None:
    found = inspected(recorded("v2/inspect_c_restarting"))
    assert (found.restarts, found.exit_code) == (2, 137)


@pytest.mark.parametrize(
    ("host", "percent"),
    [
        ({}, None),
        ({"NanoCpus": 1_500_000_000}, 150.0),
        ({"CpuQuota": 50_000, "CpuPeriod": 100_000}, 50.0),
        ({"CpuQuota": -1}, None),
    ],
)
def test_a_processor_limit_is_read_from_either_of_its_two_forms(host: dict[str, int], percent: float | None) -> None:
    payload = recorded("v1/stats_running_inspect")
    payload["HostConfig"] = host
    found = inspected(payload)
    assert found.cpu_limit_percent == percent
    assert found.memory_limit_bytes is None


def test_a_container_that_never_started_has_no_start() -> None:
    payload = recorded("v1/stats_running_inspect")
    payload["State"]["StartedAt"] = "0001-01-01T00:00:00Z"
    assert inspected(payload).started_at is None


def framed(stream: int, text: str) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text.encode()).to_bytes(4, "big") + text.encode()


def test_log_frames_of_both_streams_become_lines_in_order() -> None:
    body = framed(1, "2026-11-22T08:15:28.5Z one\n") + framed(2, "2026-11-22T08:15:29Z two\n")
    found = log_entries(body, tty=False)
    assert [one.text for one in found] == ["one", "two"]
    assert found[0].at is not None
    assert found[0].at.isoformat() == "2026-11-22T08:15:28.500000+00:00"


def test_a_log_of_a_tty_has_no_frames() -> None:
    assert [
        log_entry.text for log_entry in log_entries(b"2026-11-22T08:15:28Z a\r\n2026-11-22T08:15:29Z b\r\n", tty=True)
    ] == [
        "a",
        "b",
    ]


def test_a_cut_frame_and_broken_bytes_do_not_stop_the_reading() -> None:
    body = framed(1, "2026-11-22T08:15:28Z good\n") + b"\x01\x00\x00\x00\x00\x00\x00\xff2026-11-22T08:15:29Z \xff\xfe"
    assert [log_entry.text for log_entry in log_entries(body, tty=False)] == ["good", "\ufffd\ufffd"]


def test_a_log_line_keeps_its_text_but_not_its_escape_codes() -> None:
    (one,) = log_entries(b"2026-11-22T08:15:28Z \x1b[1;31mERROR\x1b[0m\x1b]0;title\x07 done\x00", tty=True)
    assert one.text == "ERROR done"


@pytest.mark.parametrize(
    ("newest", "oldest", "chosen"), [("1.45", "1.24", "1.45"), ("1.99", "1.44", "1.51"), ("1.44", "1.24", "1.44")]
)
def test_the_newest_common_api_version_is_spoken(newest: str, oldest: str, chosen: str) -> None:
    assert agreed_version(newest, oldest) == chosen


@pytest.mark.parametrize(("newest", "oldest"), [("1.43", "1.12"), ("1.99", "1.60"), ("", "")])
def test_an_engine_too_old_or_too_new_is_refused_with_what_is_wanted(newest: str, oldest: str) -> None:
    with pytest.raises(EngineError, match=r"expected: a version from 1\.44 to 1\.51"):
        agreed_version(newest, oldest)
