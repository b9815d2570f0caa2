"""Where the Docker engine listens, as the docker CLI would find it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.common.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = "/var/run/docker.sock"


def find_socket(environ: Mapping[str, str]) -> Path:
    """The engine's unix socket: DOCKER_HOST, else the docker CLI's current context, else the usual place.

    Raises:
        EngineError: the engine is on another machine. The stack mounts files of this one, so that cannot work.

    """
    host = environ.get("DOCKER_HOST") or _context_host(environ)
    if not host:
        return Path(DEFAULT_SOCKET)
    scheme, _, path = host.partition("://")
    if scheme != "unix":
        raise EngineError(
            f"Docker is reached over {scheme}://",
            where="DOCKER_HOST or the docker context",
            wanted="an engine on this machine (unix://), because the stack mounts files of this machine",
        )
    return Path(path)


def _context_host(environ: Mapping[str, str]) -> str:
    """The address in the docker CLI's current context; "" for the default one or when nothing can be read."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")
    try:
        name = environ.get("DOCKER_CONTEXT") or json.loads((folder / "config.json").read_text())["currentContext"]
        if name == "default":
            return ""
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = json.loads((folder / "contexts" / "meta" / digest / "meta.json").read_text())
        return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
