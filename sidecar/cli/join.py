"""`join`: workers on this machine for the master of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.join import join
from sidecar.common.say import Console
from sidecar.settings import refuse_flags
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "join"
HELP = "start workers here for the master of another machine: join MASTER=10.0.0.5 WORKERS=4"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Start the workers, and wait until each hears the master."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    join(workspace.settings_for_up(args, environ), environ, Console())
    return 0
