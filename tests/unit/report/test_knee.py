"""Where an endpoint bends under ever more users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.commands import capacity
from sidecar.commands.capacity import Knee, find_knee, steps_of
from sidecar.report.render import html, png
from sidecar.settings import load


def timeline(*steps: tuple[int, float, float, float]) -> dict[str, Any]:
    """Twelve seconds of each (users, requests a second, p95, CPU), the rate rising to its value in the last of them."""
    names = ("users", "rps", "fail_per_second", "p50_ms", "p95_ms", "cpu_percent")
    rows: list[tuple[Any, ...]] = [(0, 0.0, 0.0, None, None, 0.0)] * 2
    for users, rps, p95, cpu in steps:
        rows += [(users, rps * min(1.0, second / 11), 0.0, p95 / 2, p95, cpu) for second in range(12)]
    return {name: [row[column] for row in rows] for column, name in enumerate(names)}


RISING = ((1, 50.0, 20.0, 10.0), (2, 100.0, 20.0, 20.0), (4, 200.0, 21.0, 40.0))
FLAT = ((8, 205.0, 40.0, 45.0), (16, 204.0, 80.0, 45.0))


def test_the_knee_is_the_last_step_that_brought_more() -> None:
    found = find_knee(steps_of(timeline(*RISING, *FLAT)))
    assert [step.users for step in found.steps] == [1, 2, 4, 8, 16]
    assert (found.at, found.by_generator) == (2, False)
    assert found.text == (
        "knee at 4 users: 200 requests per second, p95 21 ms; "
        "the next step, 8 users: 205 requests per second, p95 40 ms"
    )


def test_without_a_knee_it_says_how_far_it_looked() -> None:
    assert (
        find_knee(steps_of(timeline(*RISING))).text
        == "no knee up to 4 users: each step brought more requests per second"
    )
    assert find_knee(()).at is None


def test_a_worker_at_its_limit_is_not_taken_for_the_target() -> None:
    found = find_knee(steps_of(timeline(*RISING, (8, 205.0, 40.0, 97.0))))
    assert found.by_generator
    assert found.text.endswith("the load machine is the bottleneck, not the target → use more WORKERS")


def test_a_ramp_between_two_steps_is_no_step() -> None:
    line = timeline(*RISING)
    for name, values in line.items():
        values[26:26] = [3, 3] if name == "users" else [1.0, 1.0]
    assert [step.users for step in steps_of(line)] == [1, 2, 4]


@pytest.mark.parametrize("steps", [RISING, (*RISING, *FLAT), ()])
def test_it_is_drawn_told_and_written_whatever_was_found(steps: tuple[Any, ...]) -> None:
    bend = find_knee(steps_of(timeline(*steps)))
    picture = capacity.picture("/api/cart", bend)
    assert png.render(picture).startswith(b"\x89PNG")
    assert "/api/cart" in html.svg(picture, "x")
    assert len(capacity._table(bend)) == 1 + len(steps)
    marked = [line for line in capacity._table(bend) if "←" in line]
    assert len(marked) == (bend.at is not None)


def test_what_is_written_down_can_be_read_again() -> None:
    bend: Knee = find_knee(steps_of(timeline(*RISING, *FLAT)))
    settings: Any = type("S", (), {"endpoint": "/api/cart", "method": "GET"})
    found = json.loads(capacity._document(settings, bend))
    assert (found["endpoint"], found["at"], len(found["steps"])) == ("/api/cart", 2, 5)


def test_the_stack_of_its_own_takes_nothing_that_names_parts_of_the_users_locustfile(tmp_path: Path) -> None:
    words = ["ENDPOINT=/a", "HOST=http://a.example", "SHAPE=Mine", "CLASSES=Shop", "TAGS=cart", "EXCLUDE_TAGS=slow"]
    own = capacity._own(load(words, {}, tmp_path))
    assert (own.shape, own.classes, own.tags, own.exclude_tags) == ("", (), (), ())
    assert own.host == "http://a.example"
