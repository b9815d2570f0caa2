"""What becomes of users, and the rate that they keep, as the meters count it in a real Locust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_users.py")
LIVES = ("not_made", "on_start", "timeout", "finished", "own_stop", "tasks", "quitter", "goodbye")
RATES = ("steady", "subclass", "late", "uneven", "hung", "visitor")


@pytest.fixture(scope="module")
def seen() -> Any:
    return printed(PROGRAM, *LIVES, *RATES)


def counts(scene: dict[str, Any]) -> dict[str, int]:
    """The counts of the scene's only class, without the zeros."""
    (found,) = scene["users"]["classes"].values()
    return {name: count for name, count in found.items() if count}


def errors(scene: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {error["name"]: (f"{error['type']}: {error['text']}", error["count"]) for error in scene["users"]["errors"]}


def test_users_that_cannot_be_made_are_counted_with_their_exception_and_line(seen: Any) -> None:
    scene = seen["not_made"]
    assert counts(scene) == {"made": 2, "not_made": 3, "running": 2}
    assert errors(scene) == {"Buyer.__init__": ("IndexError: pop from empty list", 1)}
    (error,) = scene["users"]["errors"]
    assert (error["kind"], error["line"].partition(":")[0]) == ("init", "tests/process/plugin/real_users.py")


@pytest.mark.parametrize(
    ("name", "users", "error"),
    [
        ("on_start", 4, {"Sleeper.on_start": ("KeyError: 'token'", 4)}),
        ("timeout", 2, {"Timed.on_start": ("Timeout: <n> second", 2)}),  # Locust has no event for it
    ],
)
def test_users_that_end_in_on_start_have_died_of_it(seen: Any, name: str, users: int, error: Any) -> None:
    assert counts(seen[name]) == {"made": users, "died": users, "died_now": users}
    assert errors(seen[name]) == error


@pytest.mark.parametrize(("name", "users"), [("finished", 3), ("own_stop", 2)])
def test_users_that_end_themselves_have_finished(seen: Any, name: str, users: int) -> None:
    assert counts(seen[name]) == {"made": users, "finished": users, "finished_now": users}
    assert errors(seen[name]) == {}


def test_task_runs_and_errors_are_counted_by_the_task_not_by_the_library_that_raised(seen: Any) -> None:
    tasks = seen["tasks"]["users"]["tasks"]
    assert tasks["Reader.front"]["runs"] == tasks["Reader.front"]["errors"] > 0
    assert tasks["Reader.Forum.read"]["runs"] == tasks["Reader.Forum.read"]["errors"] > 0
    assert tasks["Reader.Forum.leave"]["errors"] == 0 < tasks["Reader.Forum.leave"]["runs"]
    assert tasks["Reader.Broken"]["errors"] > 0
    assert "Reader.Forum" not in tasks  # a set of tasks is no task
    found = {error["name"]: error for error in seen["tasks"]["users"]["errors"]}
    assert found["Reader.Broken"]["text"] == "no forum <n>"
    assert found["Reader.Forum.read"]["type"] == "JSONDecodeError"
    assert found["Reader.Forum.read"]["line"].startswith("tests/process/plugin/real_users.py:")
    assert {error["kind"] for error in found.values()} == {"task"}


def test_users_that_a_task_has_the_runner_stop_have_not_finished_and_the_line_is_named(seen: Any) -> None:
    scene = seen["quitter"]
    assert counts(scene) == {"made": 5, "stopped": 5}
    (error,) = scene["users"]["errors"]
    assert (error["kind"], error["type"]) == ("runner", "runner.quit()")
    assert error["line"].startswith("tests/process/plugin/real_users.py:")


def test_a_goodbye_that_raises_does_not_make_a_stopped_user_a_dead_one(seen: Any) -> None:
    end = seen["goodbye"]["end"]
    assert counts(end) == {"made": 2, "stopped": 2}
    assert errors(end) == {"GoodbyeFails.on_stop": ("RuntimeError: no logout", 2)}


def kept(scene: dict[str, Any]) -> float:
    """The begun share of the planned runs of the scene's only schedule."""
    (schedule,) = scene["pacing"]["schedules"].values()
    return float(schedule["begun"] / schedule["planned"])


@pytest.mark.parametrize("name", ["steady", "subclass", "uneven"])
def test_a_pacing_that_is_kept_misses_no_start(seen: Any, name: str) -> None:
    (schedule,) = seen[name]["pacing"]["schedules"].values()
    assert schedule["begun"] > 20
    assert kept(seen[name]) > 0.8  # the machine's own delays


def test_runs_that_take_twice_their_pacing_keep_half_of_it(seen: Any) -> None:
    assert 0.35 < kept(seen["late"]) < 0.6
    (schedule,) = seen["late"]["pacing"]["schedules"].values()
    assert schedule["run_seconds"] / schedule["measured"] >= 0.2
    assert schedule["pacing_seconds"] == 0.1


def test_a_run_that_does_not_end_misses_starts_while_it_hangs_and_none_after_the_stop(seen: Any) -> None:
    (schedule,) = seen["hung"]["pacing"]["schedules"].values()
    assert (schedule["begun"], schedule["planned"] > 5) == (0, True)
    (ended,) = seen["hung"]["end"]["pacing"]["schedules"].values()
    assert ended["planned"] >= schedule["planned"]


def test_time_in_a_task_set_with_a_wait_of_its_own_is_not_held_against_the_users_pacing(seen: Any) -> None:
    (schedule,) = seen["visitor"]["pacing"]["schedules"].values()
    assert schedule["planned"] == schedule["begun"] == 0
