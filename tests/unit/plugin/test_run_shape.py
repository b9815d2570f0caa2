"""The load shape of a run: the one that the kit names, else the one that Locust takes; options of a run do not stay."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust import LoadTestShape
from locust.env import Environment
from locust_kit import plan
from locust_kit.run_shape import RunShape


class UpAndDown(LoadTestShape):
    use_common_options = True

    def tick(self) -> None: ...


class Wave(LoadTestShape):
    def tick(self) -> None: ...


@pytest.fixture
def environment() -> Environment:
    classes: Any = (UpAndDown, Wave)
    shapes = {made.__name__: made() for made in classes}
    options = SimpleNamespace(num_users=None, spawn_rate=None, run_time=None)
    own = shapes["UpAndDown"]
    made = Environment(shape_class=own, available_shape_classes=shapes, parsed_options=options)
    made.runner = SimpleNamespace(state="ready")  # type: ignore[assignment]
    return made


def name_of(environment: Environment) -> str:
    return type(environment.shape_class).__name__


def test_a_run_of_the_kit_names_its_shape_and_the_next_start_has_locusts_again(environment: Environment) -> None:
    shape = RunShape(environment)
    for form, wanted in (({"kit_shape": "Wave"}, "Wave"), ({}, "UpAndDown"), ({"kit_shape": "none"}, "NoneType")):
        shape.choose(form)
        assert name_of(environment) == wanted
    shape.choose({"kit_shape": "UpAndDown"})
    assert environment.shape_class is not None
    assert environment.shape_class.runner is environment.runner
    assert [of["uses_common_options"] for of in shape.documents()] == [True, False]


def test_users_rate_and_time_of_an_earlier_run_are_forgotten_and_those_of_this_one_written_down(
    environment: Environment,
) -> None:
    options: Any = environment.parsed_options
    shape = RunShape(environment)
    options.num_users, options.spawn_rate, options.run_time = 40, 5.0, 30
    environment.web_ui = None
    options.tags = options.exclude_tags = None
    asked = plan.document(environment)["plan"]
    assert asked["shape_options"] == {"users": 40, "spawn_rate_per_second": 5.0, "run_time_seconds": 30}
    assert (asked["users"], asked["shape_class"], asked["shapes"]) == (None, "UpAndDown", ["UpAndDown", "Wave"])
    shape.choose({"kit_shape": "UpAndDown"})
    assert (options.num_users, options.spawn_rate, options.run_time) == (None, None, None)


def test_an_edit_of_a_run_that_is_going_changes_neither_shape_nor_options(environment: Environment) -> None:
    options: Any = environment.parsed_options
    shape = RunShape(environment)
    options.num_users = 40
    environment.runner.state = "running"  # type: ignore[union-attr]
    shape.choose({"kit_shape": "Wave"})
    assert (name_of(environment), options.num_users) == ("UpAndDown", 40)
