"""`try`: one user, one pass, each request printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.try_once import try_once
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "try"
HELP = "one user of each class, each task once, each request printed"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Try the locustfile."""
    workspace.refuse_arguments(args, NAME)
    return try_once(workspace.settings_after_up(args, environ), environ, Console())
