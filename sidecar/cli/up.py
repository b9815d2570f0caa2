"""`up`: start the stack, or bring it to the wanted shape."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from sidecar.commands.up import up
from sidecar.common.say import Console
from sidecar.engine.host_client import EngineAbsentError
from sidecar.settings import refuse_flags
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "up"
HELP = "start the stack and wait until every worker is registered: up WORKERS=4"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Bring the stack up. Without Docker nothing is installed, unless the person at the terminal says so."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_for_up(args, environ)
    try:
        up(settings, environ, Console())
    except EngineAbsentError as error:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise
        print(f"kit up: {error.what}.")
        if input("Run `make setup` now? [y/N] ").strip().lower() not in ("y", "yes"):
            raise
        code = subprocess.run([str(settings.root / "scripts" / "setup")], check=False).returncode
        if code:
            return code
        up(settings, environ, Console())
    return 0
