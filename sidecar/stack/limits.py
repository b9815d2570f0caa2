"""The limits of a run, from all sources: THRESHOLDS, THRESHOLDS_FILE, variables of locust-plugins."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.common import user_file
from sidecar.common.errors import SettingError
from sidecar.model import threshold
from sidecar.model.threshold import Threshold
from sidecar.settings import Settings

_OF_LOCUST_PLUGINS = {
    "LOCUST_CHECK_FAIL_RATIO": "fail_ratio<=",
    "LOCUST_CHECK_RPS": "rps>=",
    "LOCUST_CHECK_AVG_RESPONSE_TIME": "avg<=",
}


def thresholds(settings: Settings, environ: Mapping[str, str]) -> tuple[Threshold, ...]:
    """Return every threshold of a run, each once.

    Raises:
        SettingError: a file cannot be read, or a line or variable is not a threshold.

    """
    given = [*settings.thresholds, *_of_file(settings), *_of_variables({**settings.passthrough, **environ})]
    return tuple(dict.fromkeys(given))


def words(settings: Settings, given: tuple[Threshold, ...]) -> dict[str, str | float | None]:
    """Return the limits of a run, in the form that the plugin saves at its start."""
    return {
        "thresholds": " ".join(limit.text for limit in given),
        "fail_ratio_limit": fail_ratio(settings, given),
        "outage_ratio": settings.outage_ratio,
        "task_error_ratio_limit": task_error_ratio(settings, given),
        "on_invalid": settings.on_invalid,
        "generator_cpu": settings.generator_cpu,
        "generator_throttled": settings.generator_throttled,
        "generator_blocked": settings.generator_blocked,
        "sustained_seconds": settings.sustained_seconds,
        "sustained_share": settings.sustained_share,
        "rate_kept": settings.rate_kept,
        "stuck_seconds": settings.stuck_seconds,
    }


def fail_ratio(settings: Settings, given: tuple[Threshold, ...]) -> float | None:
    """Return FAIL_RATIO; None if a threshold over all requests replaces it."""
    replaced = any(threshold.replaces_fail_ratio for threshold in given)
    return None if replaced and not settings.said_now("FAIL_RATIO") else settings.fail_ratio


def task_error_ratio(settings: Settings, given: tuple[Threshold, ...]) -> float | None:
    """Return TASK_ERROR_RATIO; None if a threshold over all task runs replaces it."""
    replaced = any(threshold.replaces_task_error_ratio for threshold in given)
    return None if replaced and not settings.said_now("TASK_ERROR_RATIO") else settings.task_error_ratio


def _of_file(settings: Settings) -> tuple[Threshold, ...]:
    if not settings.thresholds_file:
        return ()
    path = settings.root / settings.thresholds_file
    try:
        text = user_file.read(path, "THRESHOLDS_FILE")
    except OSError as error:
        raise SettingError(f"THRESHOLDS_FILE {path} cannot be read: {error.strerror}", wanted="a text file") from None
    return _parsed(text, str(path))


def _of_variables(environ: Mapping[str, str]) -> list[Threshold]:
    return [
        limit
        for name, beginning in _OF_LOCUST_PLUGINS.items()
        if environ.get(name)
        for limit in _parsed(f"{beginning}{environ[name]}", name)
    ]


def _parsed(text: str, source: str) -> tuple[Threshold, ...]:
    try:
        return threshold.parse(text)
    except ValueError as error:
        raise SettingError(f"{source} has an invalid threshold", wanted=str(error)) from None
