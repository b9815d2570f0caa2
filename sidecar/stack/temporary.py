"""A mock target that is there for a check or a try only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sidecar.engine.docker_engine import DockerEngine
from sidecar.model.snapshot import MASTER
from sidecar.settings import Settings
from sidecar.stack.compose import MOCK_HOST, Compose

# Its input ends with this process, killed or not. A master that is there now is of an `up` in another terminal.
_REMOVE = """
kept=$(cat)
docker rm --force "$4"
if [ "$kept" ] || { [ "$1" ] && docker container inspect "$1"; }; then exit; fi
docker rm --force "$2"
docker network rm "$3"
"""


@contextmanager
def removed_afterwards(
    settings: Settings, engine: DockerEngine, compose: Compose | None, name: str = ""
) -> Iterator[Callable[[], None]]:
    """Remove what the block starts, once the block is over or this process is gone.

    That is the mock target and its network, unless they were there before, and the container `name`. A block that is to
    keep the mock target calls what it is given. Without `compose` the block starts nothing.
    """
    keep: list[bytes] = []
    if compose is None:
        yield lambda: None
        return
    services = {container.service for container in engine.containers(settings.project)}
    master, mock = (f"{settings.project}-{service}-1" * (service not in services) for service in (MASTER, MOCK_HOST))
    network = f"{settings.project}_default" * (not services)
    remover = subprocess.Popen(
        ["sh", "-c", _REMOVE, "sh", master, mock, network, name],
        env=dict(compose.env),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C goes to all of a terminal's processes
    )
    try:
        yield lambda: keep.append(b"kept")
    finally:
        remover.communicate(b"".join(keep))
