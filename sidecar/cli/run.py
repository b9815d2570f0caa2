"""`run`: one run, one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.commands.run import run as drive_run
from sidecar.common.say import Console
from sidecar.common.signals import interrupt_on_signals
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "run"
HELP = "one run, one verdict: run USERS=200 SPAWN_RATE=20 RUN_TIME=2m (exit 0 PASS, 1 or 3 FAIL, 4 INVALID)"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Run once; the exit code is the verdict's."""
    workspace.refuse_arguments(args, NAME)
    interrupt_on_signals()
    return drive_run(workspace.settings_after_up(args, environ), environ, Console())
