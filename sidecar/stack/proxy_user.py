"""Find the user with which the docker-proxy may open the engine's socket, from inside a container.

On Docker Desktop and in virtual machines, the socket inside a container is another file than the one outside. So the
group outside does not help.
"""

from __future__ import annotations

import re
from pathlib import Path

from sidecar.common.errors import StackError
from sidecar.stack import state
from sidecar.stack.docker_command import docker, last_words

_NOBODY = 65534
_STAT = re.compile(r"^(\d+) (\d+) ([0-7]+)$", re.MULTILINE)
_TIMEOUT_SECONDS = 60
_GROUP_MAY = 0o060
_OTHERS_MAY = 0o006


def choose(uid: int, gid: int, mode: int) -> str:
    """Return the user (`uid:gid`) with the fewest rights that may use a socket of this owner, group and mode.

    `nobody` in group 0 may open a socket of root:root with mode 0660, so user id 0 is not needed.
    """
    if mode & _OTHERS_MAY == _OTHERS_MAY:
        return f"{_NOBODY}:{_NOBODY}"
    if mode & _GROUP_MAY == _GROUP_MAY:
        return f"{_NOBODY}:{gid}"
    return f"{uid}:{gid}"


def find(cache: Path, socket: Path, image: str, image_id: str) -> str:
    """Return the user for the proxy: from the cache for the same socket, else from a container of `image`."""
    key = f"{_outside(socket)} {image_id}"
    known = state.read(cache)
    if known.get("key") == key and isinstance(known.get("user"), str):
        return str(known["user"])
    user = choose(*_inside(image))
    state.write(cache, {"key": key, "user": user})
    return user


def _outside(socket: Path) -> str:
    try:
        seen = socket.stat()
    except OSError:
        return str(socket)
    return f"{socket} {seen.st_ino} {seen.st_ctime_ns} {seen.st_gid} {seen.st_mode:o}"


def _inside(image: str) -> tuple[int, int, int]:
    command = [
        *("run", "--rm", "--network", "none", "--label", "io.locust-kit.role=probe"),
        *("--read-only", "--cap-drop", "ALL", "--user", f"{_NOBODY}:{_NOBODY}", "--entrypoint", "stat"),
        *("-v", "/var/run/docker.sock:/engine.sock:ro", image, "-c", "%u %g %a", "/engine.sock"),
    ]
    try:
        done = docker(*command, seconds=_TIMEOUT_SECONDS)
    except StackError as error:
        raise _unseen(error.what) from None
    match = _STAT.search(done.stdout)
    if match is None:
        raise _unseen(last_words(done.stderr or done.stdout) or "no answer")
    return int(match[1]), int(match[2]), int(match[3], 8)


def _unseen(why: str) -> StackError:
    return StackError(f"the engine's socket could not be checked from inside a container: {why}")
