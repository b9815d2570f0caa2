"""The load shape of each run. Locust itself always uses the first one in the locustfile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from locust import LoadTestShape
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING

FIELD, NO_SHAPE = "kit_shape", "none"
_LOAD = ("num_users", "spawn_rate", "run_time")


def shapes_of(environment: Environment) -> dict[str, LoadTestShape]:
    """Return the load shapes by name; the first one is Locust's own choice."""
    own = [environment.shape_class] if environment.shape_class else []
    return environment.available_shape_classes or {type(shape).__name__: shape for shape in own}


class RunShape:
    """Chooses a load shape and resets the options that shapes may read, which Locust keeps from earlier runs."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._shapes, self._own = shapes_of(environment), environment.shape_class
        self._load = {name: getattr(environment.parsed_options, name, None) for name in _LOAD}

    def choose(self, form: Mapping[str, str]) -> None:
        """Set the shape that the order to start a run names; the class picker of Locust's page has its own field.

        A start from elsewhere gets Locust's own choice. An edit of a run changes nothing.
        """
        environment = self._environment
        if environment.runner is not None and environment.runner.state in (STATE_SPAWNING, STATE_RUNNING):
            return
        for name, value in self._load.items() if environment.parsed_options else ():
            setattr(environment.parsed_options, name, value)
        if environment.web_ui and environment.web_ui.userclass_picker_is_active:
            return
        name = form.get(FIELD, "")
        shape = None if name == NO_SHAPE else self._shapes.get(name, self._own)
        if shape is not None:
            shape.runner = environment.runner
        environment.shape_class = shape

    def documents(self) -> list[dict[str, Any]]:
        """Return each shape, and whether it uses users, rate and time."""
        return [
            {"name": name, "uses_common_options": bool(shape.use_common_options)}
            for name, shape in self._shapes.items()
        ]
