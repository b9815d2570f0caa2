"""The decisions of `up`, saved for later verbs: `.locust-kit/state/<project>.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sidecar.common import atomic
from sidecar.settings import SETTINGS, Settings
from sidecar.stack.compose import Decided

_VERSION = 1


def path_of(root: Path, project: str) -> Path:
    """Return the path of a project's state."""
    return root / ".locust-kit" / "state" / f"{project}.json"


def read(path: Path) -> dict[str, Any]:
    """Return a JSON object of the kit; empty if it cannot be read, because it can be made again."""
    try:
        return json_object(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object in a text; empty if the text is not a JSON object."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def recall(settings: Settings) -> dict[str, Any]:
    """Return the state of a project's last `up` or `swarm-up`; empty without one."""
    return read(path_of(settings.root, settings.project))


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps({"schema_version": _VERSION, **document}, indent=1, sort_keys=True) + "\n")


def remembered(root: Path, project: str) -> dict[str, str]:
    """Return the texts of the settings of this project's last `up`."""
    choices = read(path_of(root, project)).get("choices")
    if not isinstance(choices, dict):
        return {}
    return {name: str(raw) for name, raw in choices.items() if name in SETTINGS}


def remember(settings: Settings, decided: Decided, **further: Any) -> None:  # noqa: ANN401  what JSON can hold
    """Save the settings and decisions of `up` or `join`, for later verbs."""
    known = {name: value for name, value in asdict(decided).items() if value is not None}
    document = {"choices": choices(settings), "decided": {**known, **further}}
    write(path_of(settings.root, settings.project), document)


def note_classes(path: Path, classes: Mapping[str, Any]) -> None:
    """Save the current content of the user's files, in addition to the decisions of `up`."""
    document = read(path)
    if document:
        write(path, {**document, "decided": {**(document.get("decided") or {}), **classes}})


def note(path: Path, **further: Any) -> None:  # noqa: ANN401  what JSON can hold
    """Save more, in addition to the decisions of `up`."""
    write(path, {**read(path), **further})


def remember_workers(settings: Settings) -> None:
    """Save the current number of workers, in addition to the decisions of `up`."""
    path = path_of(settings.root, settings.project)
    document = read(path)
    write(path, {**document, "choices": {**(document.get("choices") or {}), "WORKERS": str(settings.workers)}})


def choices(settings: Settings) -> dict[str, str]:
    """Return the settings to save: settings that somebody set and that last beyond one call."""
    return {
        name: entry.raw
        for name, entry in settings.given.items()
        if entry.raw and SETTINGS[name].lasting and name != "PROJECT"
    }
