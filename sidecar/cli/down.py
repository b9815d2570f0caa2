"""`down`: end the stack; results stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.down import down
from sidecar.common.errors import SettingError
from sidecar.common.say import Console
from sidecar.stack import deployment, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "down"
HELP = "end the stack: no container and no network is left; runs and reports stay"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """End the stack, even when .env or the last `up` hold something that cannot be."""
    workspace.refuse_arguments(args, NAME)
    try:
        settings = workspace.settings_after_up(args, environ)
    except SettingError:
        settings = workspace.settings_of_project_alone(args, environ)
    deployment.refuse(settings, "make swarm-down")
    down(settings, environ, Console())
    return 0
