"""`scale`: another number of workers on a running stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.scale import scale
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "scale"
HELP = "another number of workers, during a run too: scale WORKERS=8"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Scale the running stack."""
    workspace.refuse_arguments(args, NAME)
    scale(workspace.settings_after_up(args, environ), environ, Console())
    return 0
