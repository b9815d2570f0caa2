"""What an inspect says about a life and a death, from recorded answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.engine.payload import inspection, owners
from sidecar.model.signal import Owner
from tests.fakes.fake_tree import DATA

ID = "ab" * 32


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return found


def test_a_main_process_that_was_oom_killed() -> None:
    found = inspection(recorded("v1/inspect_a_main_oomkilled"), 7)
    assert (found.state, found.exit_code, found.oom_killed, found.restarts) == ("exited", 137, True, 0)
    assert (found.started_ns, found.finished_ns) == (1795337683404073404, 1795337683859960214)
    assert (found.at_ns, found.owner, found.memory_limit_bytes) == (7, Owner("cgx-a"), 64 << 20)


def test_one_that_waits_for_its_restart_has_the_code_of_its_last_end() -> None:
    found = inspection(recorded("v2/inspect_c_restarting"), 7)
    assert (found.state, found.exit_code, found.oom_killed, found.restarts) == ("restarting", 137, True, 2)


def test_a_running_one_has_not_ended() -> None:
    found = inspection(recorded("v2/stats_running_inspect"), 7)
    assert (found.state, found.exit_code, found.finished_ns) == ("running", None, None)


def test_one_that_was_never_started_has_no_times_and_no_code() -> None:
    never = "0001-01-01T00:00:00Z"
    state = {"Status": "created", "ExitCode": 0, "StartedAt": never, "FinishedAt": never}
    found = inspection({"Id": ID, "Name": "/x", "State": state}, 7)
    assert (found.state, found.exit_code, found.started_ns, found.finished_ns) == ("created", None, None, None)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-22T08:54:43.404073404Z", 1795337683404073404),
        ("2026-11-22T08:54:43.4Z", 1795337683400000000),
        ("2026-11-22T08:54:43Z", 1795337683000000000),
        ("2026-11-22T09:54:43.000000001+01:00", 1795337683000000001),
        ("soon", None),
        (None, None),
    ],
)
def test_times_are_kept_to_the_nanosecond(text: object, ns: int | None) -> None:
    state = {"Status": "running", "StartedAt": text, "FinishedAt": ""}
    assert inspection({"Id": ID, "Name": "/x", "State": state}, 7).started_ns == ns


def test_everyone_is_named_with_their_owner() -> None:
    of_image = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
    labels = {**of_image, "com.docker.compose.container-number": "1"}
    entries: list[dict[str, Any]] = [
        {"Id": ID, "Names": ["/shop-api-1"], "Labels": labels},
        {"Id": "cd" * 32, "Names": None, "Labels": None},
        {"Id": "ef" * 32, "Names": ["/started-by-hand"], "Labels": of_image},
    ]
    assert owners(entries) == (
        (ID, Owner("shop-api-1", "shop", "api", 1)),
        ("cd" * 32, Owner("cd" * 6)),
        ("ef" * 32, Owner("started-by-hand")),
    )
