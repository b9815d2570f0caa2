"""`swarm-scale`: another number of workers on the Swarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.common.say import Console
from sidecar.settings import refuse_flags
from sidecar.stack import workspace
from sidecar.swarm.commands.scale import swarm_scale

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "swarm-scale"
HELP = "another number of workers on the Swarm: swarm-scale WORKERS=60"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Do it."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    swarm_scale(workspace.settings_after_up(args, environ), environ, Console())
    return 0
