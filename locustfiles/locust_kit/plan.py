"""The plan of a run, written down at its start: labels, users, time, and the criteria of its verdict."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
from collections.abc import Mapping
from typing import Any

import locust
from locust.env import Environment

from locust_kit.run_shape import shapes_of

logger = logging.getLogger("locust_kit")

LABELS_VARIABLE, LABELS_FIELD = "KIT_LABELS", "kit_labels"
MOST_LABELS = 16
_LABEL = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,62})=(?P<value>\S{1,200})")

CRITERIA_FIELD = "kit_judge"
_CRITERIA = (
    "thresholds",
    "fail_ratio",
    "outage_ratio",
    "task_error_ratio",
    "on_invalid",
    "generator_cpu",
    "generator_throttled",
    "generator_blocked",
    "sustained_seconds",
    "sustained_share",
    "rate_kept",
    "stuck_seconds",
)
_UNSET = object()


class FormField:
    """A field of the form that starts a run. Locust stores it in its options once it knows the name."""

    def __init__(self, options: Any, name: str) -> None:
        self._options = options
        self._name = name
        self._forget()

    def take(self) -> str:
        """Return the text for the run that starts now, else ""; the next run does not get it."""
        text = str(getattr(self._options, self._name, "") or "")
        self._forget()
        return text

    def _forget(self) -> None:
        if self._options is not None:
            setattr(self._options, self._name, "")


def parse_labels(text: str) -> dict[str, str]:
    """Read `env=staging team=shop`. Leave out labels of another form: `kit` has already refused them."""
    matches = filter(None, map(_LABEL.fullmatch, text.replace(",", " ").split()))
    return dict([(match["name"], match["value"]) for match in matches][:MOST_LABELS])


class Labels:
    """The labels of each run: from the order to start it, otherwise from the environment."""

    def __init__(self, options: Any, environ: Mapping[str, str]) -> None:
        self._field = FormField(options, LABELS_FIELD)
        self._default = environ.get(LABELS_VARIABLE, "")
        for label in self._default.replace(",", " ").split():
            if not _LABEL.fullmatch(label):
                logger.warning("locust-kit: %s contains %r; expected: name=value; ignored", LABELS_VARIABLE, label)

    def of_this_run(self) -> dict[str, str]:
        """Return the labels of the run that starts now."""
        return parse_labels(self._field.take() or self._default)


class RunCriteria:
    """The criteria of each run: from the order to start it, otherwise from the environment.

    The plugin only passes them on; the sidecar reads them.
    """

    def __init__(self, options: Any, environ: Mapping[str, str]) -> None:
        self._field = FormField(options, CRITERIA_FIELD)
        values = {name: environ.get(f"KIT_{name.upper()}") for name in _CRITERIA}
        self._default = {name: text for name, text in values.items() if text}

    def of_this_run(self) -> dict[str, Any]:
        """Return the criteria of the run that starts now."""
        try:
            criteria = json.loads(self._field.take() or "{}")
        except ValueError:
            criteria = {}
        return {**self._default, **(criteria if isinstance(criteria, dict) else {})}


def document(environment: Environment) -> dict[str, Any]:
    """Return the plan and the versions. Times are in seconds, the rate is in users per second."""
    runner, options, shape = environment.runner, environment.parsed_options, environment.shape_class
    return {
        "plan": {
            "users": None if shape else int(getattr(runner, "target_user_count", 0) or 0),
            "spawn_rate_per_second": None if shape else float(getattr(runner, "spawn_rate", 0) or 0),
            "run_time_seconds": _run_time(environment),
            "shape_class": type(shape).__name__ if shape else None,
            "shapes": list(shapes_of(environment)),
            "shape_options": _shape_options(environment),
            "tags": list(getattr(options, "tags", None) or []),
            "exclude_tags": list(getattr(options, "exclude_tags", None) or []),
            "locustfile": os.environ.get("LOCUSTFILE", ""),
            "stop_timeout_seconds": float(environment.stop_timeout or 0),
        },
        "versions": {"locust": locust.__version__, "python": platform.python_version()},
        "workers_at_start": int(getattr(runner, "worker_count", 0) or 0),
    }


def _shape_options(environment: Environment) -> dict[str, Any] | None:
    """Return users, rate and time for a shape with `use_common_options`; None for other shapes."""
    options = environment.parsed_options
    if environment.shape_class is None or not environment.shape_class.use_common_options:
        return None
    return {
        name: value if isinstance(value := getattr(options, field, None), int | float) else None
        for name, field in (
            ("users", "num_users"),
            ("spawn_rate_per_second", "spawn_rate"),
            ("run_time_seconds", "run_time"),
        )
    }


def _run_time(environment: Environment) -> int | None:
    """Return the run time. Locust keeps the value of an earlier run, but has a timer only if this run has one."""
    options = environment.parsed_options
    seconds = getattr(options, "run_time", None)
    timer = getattr(environment.web_ui, "_run_time_greenlet", _UNSET) if environment.web_ui else _UNSET
    ends_by_timer = timer is not None or bool(getattr(options, "autostart", False))
    if environment.shape_class or not seconds or not ends_by_timer:
        return None
    return int(seconds) if isinstance(seconds, int | float) else None
