"""`clean`: remove what can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.down import clean
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "clean"
HELP = "end the stack and remove the built images; never a result"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Clean up."""
    workspace.refuse_arguments(args, NAME)
    say = Console()
    clean(workspace.settings_after_up(args, environ), environ, say)
    say.note("kept: reports, and the volumes with runs and ledger")
    return 0
