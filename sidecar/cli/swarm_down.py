"""`swarm-down`: end the stack on the Swarm; runs and ledgers stay on their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.common.say import Console
from sidecar.settings import refuse_flags
from sidecar.stack import workspace
from sidecar.swarm.commands.scale import swarm_down

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "swarm-down"
HELP = "end the stack on the Swarm; runs and ledgers stay on their nodes"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Do it."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    swarm_down(workspace.settings_after_up(args, environ), environ, Console())
    return 0
