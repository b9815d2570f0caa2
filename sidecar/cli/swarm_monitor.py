"""`swarm-monitor`: the live view of a stack on a Swarm, all nodes together, from the sidecar beside the master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.cli import monitor
from sidecar.common.errors import StackError
from sidecar.stack import deployment, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "swarm-monitor"
HELP = "the live view of all nodes of the Swarm (ONCE=1 for one frame)"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Show it, as `monitor` does.

    Raises:
        StackError: the project was not started by swarm-up from this checkout.
    """
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    if not deployment.is_swarm(settings):
        raise StackError(
            f"the stack {settings.project!r} was not started on a Swarm from this checkout",
            fix=f"make swarm-up WORKERS=12{settings.project_word}, or make monitor for the one on this machine",
        )
    return monitor.run(args, environ)
