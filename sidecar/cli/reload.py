"""`reload`: master and workers start anew with the locustfile as it is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.restart import reload
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "reload"
HELP = "after editing the locustfile: every process loads it anew, no build"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Reload the running stack."""
    workspace.refuse_arguments(args, NAME)
    reload(workspace.settings_after_up(args, environ), environ, Console())
    return 0
