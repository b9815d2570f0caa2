"""`swarm-up`: start the stack on a Docker Swarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.common.say import Console
from sidecar.settings import refuse_flags
from sidecar.stack import workspace
from sidecar.swarm.commands.up import swarm_up

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "swarm-up"
HELP = "start the stack on a Docker Swarm: swarm-up WORKERS=40"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Do it."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    swarm_up(workspace.settings_for_up(args, environ), environ, Console())
    return 0
