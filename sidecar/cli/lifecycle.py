"""The verbs that ask a person, fall back or wire something before they start, end or test a stack."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from sidecar.common.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.common.console import Console
    from sidecar.settings import Settings

# Each function imports what it calls: `serve` runs in an image without the host's modules, and the web server that it
# loads is needed by no other verb.


def up_or_set_up(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Bring the stack up. Without Docker nothing is installed, unless the person at the terminal agrees."""
    from sidecar.commands.up import up  # noqa: PLC0415  see above
    from sidecar.engine.docker_engine import EngineAbsentError  # noqa: PLC0415  see above

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
    from sidecar.commands.down import down  # noqa: PLC0415  see above
    from sidecar.stack import deployment, workspace  # noqa: PLC0415  see above

    try:
        settings = workspace.settings_after_up(words, environ)
    except SettingError:
        settings = workspace.settings_of_project_alone(words, environ)
    deployment.refuse(settings, "make swarm-down")
    down(settings, environ, console)


def clean_up(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Remove what can be made again, and say what is kept."""
    from sidecar.commands.down import clean  # noqa: PLC0415  see above

    clean(settings, environ, console)
    console.note("kept: reports, and the volumes with runs and ledger")


def purge_after_asking(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Ask, then delete everything. Return 1 when the person refuses."""
    from sidecar.commands.down import purge  # noqa: PLC0415  see above

    def ask(question: str) -> bool:
        if settings.yes:
            return True
        if not sys.stdin.isatty():
            raise SettingError("purge deletes results and nobody is there to ask", fix="make purge YES=1")
        return input(f"{question} Type yes: ").strip().lower() == "yes"

    return 0 if purge(settings, environ, console, ask) else 1


def selftest_stack(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Run the self-test. Return 0 when the monitor saw every kill, 1 when it missed one."""
    from sidecar.client.reader import SidecarReader, first_snapshot  # noqa: PLC0415  see above
    from sidecar.commands.selftest import selftest  # noqa: PLC0415  see above
    from sidecar.engine.docker_engine import connect  # noqa: PLC0415  see above
    from sidecar.stack import workspace  # noqa: PLC0415  see above
    from sidecar.stack.registered import Clock  # noqa: PLC0415  see above

    engine = connect(environ)
    workspace.running_stack(engine, settings)
    reader = SidecarReader(settings.monitor_port)
    first_snapshot(reader, settings.project)
    return selftest(engine, reader, console, Clock(time.monotonic, time.sleep))


def serve_monitor(args: Sequence[str], environ: Mapping[str, str], _console: Console) -> int:
    """Serve until a signal; the settings come from the environment alone.

    Raises:
        SettingError: an argument was given, or a variable holds an invalid value.
        EngineError: DOCKER_HOST is not a unix socket.

    """
    if args:
        raise SettingError(f"serve takes no arguments, but got {args[0]!r}", wanted="its settings in the environment")
    import logging  # noqa: PLC0415  see above

    from sidecar.serve.server import serve  # noqa: PLC0415  see above
    from sidecar.settings.monitor import from_environment  # noqa: PLC0415  see above

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return serve(from_environment(environ))
