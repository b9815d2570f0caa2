"""The verbs that ask a person or fall back before they start or end a stack."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from sidecar.commands.down import clean, down, purge
from sidecar.commands.up import up
from sidecar.common.errors import SettingError
from sidecar.engine.docker_engine import EngineAbsentError
from sidecar.stack import deployment, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.common.console import Console
    from sidecar.settings import Settings


def up_or_set_up(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Bring the stack up. Without Docker nothing is installed, unless the person at the terminal agrees."""
    try:
        up(settings, environ, console)
    except EngineAbsentError as error:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise
        print(f"kit up: {error.what}.")
        if input("Run `make setup` now? [y/N] ").strip().lower() not in ("y", "yes"):
            raise
        code = subprocess.run([str(settings.root / "scripts" / "setup")], check=False).returncode
        if code:
            return code
        up(settings, environ, console)
    return 0


def down_in_any_case(words: Sequence[str], environ: Mapping[str, str], console: Console) -> None:
    """End the stack, even when .env or the last `up` hold an invalid value."""
    try:
        settings = workspace.settings_after_up(words, environ)
    except SettingError:
        settings = workspace.settings_of_project_alone(words, environ)
    deployment.refuse(settings, "make swarm-down")
    down(settings, environ, console)


def clean_up(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Remove what can be made again, and say what is kept."""
    clean(settings, environ, console)
    console.note("kept: reports, and the volumes with runs and ledger")


def purge_after_asking(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Ask, then delete everything. Return 1 when the person refuses."""

    def ask(question: str) -> bool:
        if settings.yes:
            return True
        if not sys.stdin.isatty():
            raise SettingError("purge deletes results and nobody is there to ask", fix="make purge YES=1")
        return input(f"{question} Type yes: ").strip().lower() == "yes"

    return 0 if purge(settings, environ, console, ask) else 1
