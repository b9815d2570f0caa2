"""The settings: what they are (`declarations`), where they come from (`load`), what they came to (`Settings`)."""

from __future__ import annotations

from sidecar.settings.load import command_line, load, named_by_make, project_name
from sidecar.settings.model import ALIASES, SECRET_FILES, SECTIONS, SETTINGS, Given, Settings
from sidecar.settings.setting import Destination, Setting

__all__ = [
    "ALIASES",
    "SECRET_FILES",
    "SECTIONS",
    "SETTINGS",
    "Destination",
    "Given",
    "Setting",
    "Settings",
    "command_line",
    "load",
    "named_by_make",
    "project_name",
]
