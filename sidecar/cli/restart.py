"""`restart`: the stack's processes start anew, nothing is rebuilt or decided again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.restart import restart
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "restart"
HELP = "restart every container of the stack as it is"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Restart the running stack."""
    workspace.refuse_arguments(args, NAME)
    restart(workspace.settings_after_up(args, environ), environ, Console())
    return 0
