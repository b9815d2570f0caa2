"""`purge`: remove everything, results included, after asking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sidecar.commands.down import purge
from sidecar.common.errors import SettingError
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "purge"
HELP = "clean, and delete runs and ledger too; asks first"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Ask, then delete. Exit code 1 when the person says no."""
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)

    def ask(question: str) -> bool:
        if settings.yes:
            return True
        if not sys.stdin.isatty():
            raise SettingError("purge deletes results and nobody is there to ask", fix="make purge YES=1")
        return input(f"{question} Type yes: ").strip().lower() == "yes"

    return 0 if purge(settings, environ, Console(), ask) else 1
