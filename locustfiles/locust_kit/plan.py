"""What was asked of a run: its users, its time, and by what it is to be judged; written down as it starts."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import locust

from .form_field import FormField

if TYPE_CHECKING:
    from locust.env import Environment

FIELD = "kit_judge"
_UNSET = object()
_WORDS = (
    "thresholds",
    "fail_ratio",
    "on_invalid",
    "generator_cpu",
    "generator_throttled",
    "sustained_seconds",
    "sustained_share",
)


class RunCriteria:
    """By what each run in turn is judged: what came with the order to start it, else what the environment says.

    The plugin only passes on what the sidecar will read.
    """

    def __init__(self, options: Any, environ: Mapping[str, str]) -> None:
        self._field = FormField(options, FIELD)
        given = {name: environ.get(f"KIT_{name.upper()}") for name in _WORDS}
        self._usual = {name: text for name, text in given.items() if text}

    def of_this_run(self) -> dict[str, Any]:
        """The words on the run that starts now."""
        try:
            given = json.loads(self._field.take() or "{}")
        except ValueError:
            given = {}
        return {**self._usual, **(given if isinstance(given, dict) else {})}


def document(environment: Environment) -> dict[str, Any]:
    """What was asked for, and of which versions. Seconds for times, users a second for the rate."""
    runner, options, shape = environment.runner, environment.parsed_options, environment.shape_class
    environ = os.environ
    return {
        "plan": {
            "users": None if shape else int(getattr(runner, "target_user_count", 0) or 0),
            "spawn_rate_per_second": None if shape else float(getattr(runner, "spawn_rate", 0) or 0),
            "run_time_seconds": _run_time(environment),
            "shape_class": type(shape).__name__ if shape else None,
            "tags": list(getattr(options, "tags", None) or []),
            "exclude_tags": list(getattr(options, "exclude_tags", None) or []),
            "locustfile": environ.get("LOCUSTFILE", ""),
            "stop_timeout_seconds": float(environment.stop_timeout or 0),
        },
        "versions": {"locust": locust.__version__, "python": platform.python_version()},
        "workers_at_start": int(getattr(runner, "worker_count", 0) or 0),
    }


def _run_time(environment: Environment) -> int | None:
    """How long the run is to be; Locust remembers the time of an earlier run, but has a timer only in one that ends."""
    options = environment.parsed_options
    asked = getattr(options, "run_time", None)
    timer = getattr(environment.web_ui, "_run_time_greenlet", _UNSET) if environment.web_ui else _UNSET
    is_over_by_timer = timer is not None or bool(getattr(options, "autostart", False))
    if environment.shape_class or not asked or not is_over_by_timer:
        return None
    return int(asked) if isinstance(asked, int | float) else None
