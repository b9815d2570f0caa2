"""The settings: what they are (`registry`), where they come from (`load`), what they came to (`Settings`)."""

from __future__ import annotations

from sidecar.settings.load import command_line, load, project_name
from sidecar.settings.model import Given, Settings
from sidecar.settings.registry import ALIASES, GROUPS, SETTINGS
from sidecar.settings.setting import Setting

__all__ = [
    "ALIASES",
    "GROUPS",
    "SETTINGS",
    "Given",
    "Setting",
    "Settings",
    "command_line",
    "load",
    "project_name",
]
