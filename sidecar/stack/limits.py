"""What the figures of a run must be, from wherever it was said: THRESHOLDS, a file, locust-plugins' variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.common.errors import SettingError
from sidecar.model import threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.model.threshold import Threshold
    from sidecar.settings import Settings

_OF_LOCUST_PLUGINS = {
    "LOCUST_CHECK_FAIL_RATIO": "fail_ratio<=",
    "LOCUST_CHECK_RPS": "rps>=",
    "LOCUST_CHECK_AVG_RESPONSE_TIME": "avg<=",
}


def thresholds(settings: Settings, environ: Mapping[str, str]) -> tuple[Threshold, ...]:
    """Every threshold of a run, each once.

    Raises:
        SettingError: a file that cannot be read, or a line or variable that is no threshold.

    """
    found = [*settings.thresholds, *_of_file(settings), *_of_variables({**settings.passthrough, **environ})]
    return tuple(dict.fromkeys(found))


def words(settings: Settings, found: tuple[Threshold, ...]) -> dict[str, str | float | None]:
    """By what a run is to be judged, as the plugin writes it down at its start."""
    return {
        "thresholds": " ".join(one.text for one in found),
        "fail_ratio_limit": fail_ratio(settings, found),
        "on_invalid": settings.on_invalid,
        "generator_cpu": settings.generator_cpu,
        "generator_throttled": settings.generator_throttled,
        "sustained_seconds": settings.sustained_seconds,
        "sustained_share": settings.sustained_share,
    }


def fail_ratio(settings: Settings, found: tuple[Threshold, ...]) -> float | None:
    """FAIL_RATIO; None where a threshold over all requests takes its place."""
    replaced = any(one.metric == "fail_ratio" and not one.tags and not one.is_soft for one in found)
    return None if replaced and not settings.said_now("FAIL_RATIO") else settings.fail_ratio


def _of_file(settings: Settings) -> tuple[Threshold, ...]:
    if not settings.thresholds_file:
        return ()
    path = settings.root / settings.thresholds_file
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingError(f"THRESHOLDS_FILE {path} cannot be read: {reason}", wanted="a text file") from None
    return _parsed(text, str(path))


def _of_variables(environ: Mapping[str, str]) -> list[Threshold]:
    return [
        one
        for name, begun in _OF_LOCUST_PLUGINS.items()
        if environ.get(name)
        for one in _parsed(f"{begun}{environ[name]}", name)
    ]


def _parsed(text: str, where: str) -> tuple[Threshold, ...]:
    try:
        return threshold.parse(text)
    except ValueError as error:
        raise SettingError(f"a threshold cannot be read in {where}", wanted=str(error)) from None
