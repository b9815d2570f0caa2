"""A docker-proxy to talk to, its socket in a folder of this host, and raw requests over it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration._containers import ENGINE_SOCKET, HARDENED, container, need_image, run_docker, wait_until
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "locust-kit/docker-proxy:local"
CONFIG = ROOT / "docker" / "docker-proxy" / "haproxy.cfg"
ENGINE = ("--volume", f"{ENGINE_SOCKET}:/var/run/docker.sock:ro")
PROJECT = "kit-test-door"  # the project that the proxy watches, and its own
MEMBER = ("--label", f"com.docker.compose.project={PROJECT}", "--label", "com.docker.compose.container-number=1")
OPTIONS = (
    *HARDENED,
    "--network",
    "none",
    "--memory",
    "128m",
    "--pids-limit",
    "64",
    "--env",
    f"PROJECT={PROJECT}",
    *MEMBER,
)


@dataclass(frozen=True)
class Proxy:
    """A running proxy and where its socket is on this host."""

    container_id: str
    socket_path: Path


@contextlib.contextmanager
def proxy(user: str, *more: str, engine: bool = True, init: bool = True) -> Iterator[Proxy]:
    """A proxy under `user` that listens on a socket which this process can reach."""
    # Not under pytest's own folder: a socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="kit-proxy-"))
    folder.chmod(0o777)
    options = [*OPTIONS, "--user", user, "--volume", f"{folder}:/run/docker-proxy", *more]
    options += ENGINE if engine else ()
    options += ["--init"] if init else []
    try:
        with container(need_image(IMAGE), *options) as container_id:
            running = Proxy(container_id, folder / "docker.sock")
            wait_until(lambda: listens(running), f"the proxy listens as {user}")
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def engine_group() -> str:
    """The group of the engine's socket as a container sees it."""
    look = ("run", "--rm", "--network", "none", *ENGINE, "--entrypoint", "stat", need_image(IMAGE))
    return run_docker(*look, "--format", "%g", "/var/run/docker.sock")


def nobody() -> str:
    """The user that the stack gives the proxy when it knows the group of the engine's socket."""
    return f"65534:{engine_group()}"


def listens(running: Proxy) -> bool:
    """Whether somebody accepts connections on the proxy's socket."""
    try:
        connect(running.socket_path).close()
    except OSError:
        return False
    return True


def connect(path: Path | str, patience: float = 10.0) -> socket.socket:
    """A connection to a unix socket."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.settimeout(patience)
        line.connect(os.fspath(path))
    except OSError:
        line.close()
        raise
    return line


def request(line: str, *headers: str) -> bytes:
    """The bytes of a request whose connection ends with its answer. Nothing in `line` is changed."""
    return "\r\n".join([line, "Host: engine", "Connection: close", *headers, "", ""]).encode("latin-1")


def ask(running: Proxy, raw: bytes) -> bytes:
    """Everything that comes back for these bytes."""
    with connect(running.socket_path) as line:
        line.sendall(raw)
        return read_to_end(line)


def read_to_end(line: socket.socket) -> bytes:
    """What comes until the other side closes, or resets because it did not read all that was sent."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65_536):
            heard += piece
    return heard


def status_of(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> str:
    """The body of an answer, still in chunks when it came so."""
    return answer.split(b"\r\n\r\n", 1)[1].decode()
