"""`serve`: the watching sidecar itself, as the monitor container runs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from sidecar.common.errors import SettingError

NAME = "serve"
HELP = "watch the stack and answer on the sidecar's port (runs inside the monitor container)"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Serve until a signal; the settings come from the environment alone.

    Raises:
        SettingError: an argument was given, or a variable holds a value that cannot be.
        EngineError: DOCKER_HOST is no unix socket.
    """
    # Imported here: the web server and docker-py take long to load, and every other verb does without them.
    import logging  # noqa: PLC0415

    from sidecar.serve.server import serve  # noqa: PLC0415
    from sidecar.settings.monitor import from_environment  # noqa: PLC0415

    if args:
        raise SettingError(f"serve takes no arguments, but got {args[0]!r}", wanted="its settings in the environment")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return serve(from_environment(environ))
