"""What `up` decided, kept for the verbs that follow: `.locust-kit/state/<project>.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sidecar.common import atomic
from sidecar.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VERSION = 1


def path_of(root: Path, project: str) -> Path:
    """Where a project's state is kept."""
    return root / ".locust-kit" / "state" / f"{project}.json"


def read(path: Path) -> dict[str, Any]:
    """A JSON object that we wrote; empty when there is none or it cannot be read (it can always be made again)."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps({"schema_version": _VERSION, **document}, indent=1, sort_keys=True) + "\n")


def remembered(root: Path, project: str) -> dict[str, str]:
    """The texts of the settings that the last `up` of this project was given."""
    choices = read(path_of(root, project)).get("choices")
    if not isinstance(choices, dict):
        return {}
    return {name: str(raw) for name, raw in choices.items() if name in SETTINGS}


def note_classes(path: Path, classes: Mapping[str, Any]) -> None:
    """Write down what the files hold now, beside what `up` decided."""
    document = read(path)
    if document:
        write(path, {**document, "decided": {**(document.get("decided") or {}), **classes}})


def choices(settings: Settings) -> dict[str, str]:
    """The settings worth remembering: those that somebody set and that last beyond one call."""
    return {
        name: entry.raw
        for name, entry in settings.given.items()
        if entry.raw and SETTINGS[name].lasting and name != "PROJECT"
    }
