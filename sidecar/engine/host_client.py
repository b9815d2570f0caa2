"""The engine's door for the commands that act: a few plain requests over its unix socket.

docker-py needs 0.2 s to import; `make up` on a running stack and `make scale` are told apart by such tenths.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from sidecar.common.errors import EngineError
from sidecar.engine.endpoint import find_socket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OLDEST_ENGINE = 25
_PROJECT_LABEL = "com.docker.compose.project"
_TIMEOUT_SECONDS = 10.0
_PRUNE_SECONDS = 30.0


class EngineAbsentError(EngineError):
    """Docker is not installed, or its engine does not run: what `make setup` mends."""


class EngineDeniedError(EngineError):
    """The engine's socket may not be opened by this user."""


class EngineSilentError(EngineError):
    """The engine took the connection and did not answer in time."""


@dataclass(frozen=True)
class ListedContainer:
    """One container, as the engine lists it."""

    id: str
    name: str
    project: str
    service: str
    state: str
    status: str
    oneoff: bool
    checkout: str
    ports: tuple[tuple[str, int], ...]

    @property
    def healthy(self) -> bool:
        """Whether its health check last passed; a container without one is not called healthy."""
        return "(healthy)" in self.status


@dataclass(frozen=True)
class Reply:
    """One HTTP answer of the engine."""

    status: int
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  the shape is the caller's to know
        """The body as JSON."""
        return json.loads(self.body or b"null")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class HostEngine:
    """A few requests to one engine. Each opens its own connection, so threads may share it."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    def request(
        self, method: str, path: str, timeout: float = _TIMEOUT_SECONDS, document: Mapping[str, Any] | None = None
    ) -> Reply:
        """One request; `document` is sent as JSON.

        Raises:
            EngineError: absent, not permitted, or no answer within `timeout` seconds.

        """
        connection = _UnixConnection(self.socket_path, timeout)
        body = None if document is None else json.dumps(document)
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(
                method, path, body, {"Content-Length": "0"} if method == "POST" and not body else headers
            )
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())
        except OSError as error:
            raise _explain(error, self.socket_path) from None
        except http.client.HTTPException as error:
            raise EngineError(f"Docker's answer was cut off: {error!r}", where=str(self.socket_path)) from None
        finally:
            connection.close()

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401  the engine's JSON
        """The JSON at a path, None when the engine does not know the thing asked for."""
        reply = self.request("GET", path + (f"?{urlencode(query)}" if query else ""))
        if reply.status == http.client.NOT_FOUND:
            return None
        if reply.status != http.client.OK:
            raise EngineError(f"Docker refused GET {path}: {message_of(reply)}")
        return reply.json()

    def version(self) -> str:
        """The engine's version, checked to be new enough."""
        text = str((self.get("/version") or {}).get("Version", "?"))
        major = re.match(r"\d+", text)
        if major and int(major[0]) < OLDEST_ENGINE:
            raise EngineError(
                f"Docker Engine is {text}",
                wanted=f"{OLDEST_ENGINE} or newer",
                fix="upgrade Docker; the kit never upgrades an engine that is there",
            )
        return text

    def containers(self, project: str | None = None) -> tuple[ListedContainer, ...]:
        """All containers, running or not; only those of one Compose project when it is named."""
        label = f"{_PROJECT_LABEL}={project}" if project else ""
        filters = json.dumps({"label": [label]} if label else {})
        rows = self.get("/containers/json", all=1, filters=filters) or []
        found = (_container(row) for row in rows)
        return tuple(one for one in found if project is None or one.project == project)

    def image(self, name: str) -> Mapping[str, Any] | None:
        """What the engine knows of a local image, None when it has none of that name."""
        found: Mapping[str, Any] | None = self.get(f"/images/{quote(name, safe='/:')}/json")
        return found

    def inspect(self, container_id: str) -> Mapping[str, Any]:
        """What the engine knows of a container; empty when it is gone."""
        return self.get(f"/containers/{container_id}/json") or {}

    def logs(self, container_id: str, tail: int) -> tuple[str, ...]:
        """The last lines that a container printed, both streams."""
        reply = self.request("GET", f"/containers/{container_id}/logs?stdout=1&stderr=1&tail={tail}")
        if reply.status != http.client.OK:
            return ()
        return tuple(demultiplex(reply.body).decode(errors="replace").splitlines()[-tail:])

    def act(self, container_id: str, verb: str, timeout: float) -> None:
        """Do `start`, `stop` or `restart` to one container, waiting at most `timeout` seconds for the answer."""
        reply = self.request("POST", f"/containers/{container_id}/{verb}", timeout)
        if reply.status >= http.client.BAD_REQUEST:
            raise EngineError(f"Docker could not {verb} {container_id[:12]}: {message_of(reply)}")

    def remove_replaced_images(self) -> None:
        """Let go of our images that a newer build took the name from, and that no container uses.

        Housekeeping: an engine that refuses keeps them, and nothing else changes.
        """
        filters = json.dumps({"dangling": ["true"], "label": ["io.locust-kit.inputs"]})
        with contextlib.suppress(EngineError):
            self.request("POST", f"/images/prune?{urlencode({'filters': filters})}", _PRUNE_SECONDS)


def connect(environ: Mapping[str, str]) -> HostEngine:
    """The engine of this machine, known to answer and to be new enough.

    Raises:
        EngineAbsentError: not installed or not running.
        EngineError: no permission, too old, or not answering.

    """
    engine = HostEngine(find_socket(environ))
    engine.version()
    return engine


def ids(containers: Sequence[ListedContainer], service: str) -> tuple[str, ...]:
    """The ids of a service's containers."""
    return tuple(container.id for container in containers if container.service == service)


def _container(row: Mapping[str, Any]) -> ListedContainer:
    labels = row.get("Labels") or {}
    # Compose labels the images it builds with their project too, and a container inherits its image's labels: only
    # a number makes it one of the stack's own.
    of_compose = "com.docker.compose.container-number" in labels
    ports = ((port.get("IP", ""), port["PublicPort"]) for port in row.get("Ports") or [] if port.get("PublicPort"))
    return ListedContainer(
        id=row["Id"],
        name=(row.get("Names") or ["/?"])[0].lstrip("/"),
        project=labels.get(_PROJECT_LABEL, "") if of_compose else "",
        service=labels.get("com.docker.compose.service", "") if of_compose else "",
        state=row.get("State", ""),
        status=row.get("Status", ""),
        checkout=labels.get("com.docker.compose.project.working_dir", ""),
        oneoff=labels.get("com.docker.compose.oneoff") == "True" or "io.locust-kit.role" in labels,
        ports=tuple(ports),
    )


def demultiplex(body: bytes) -> bytes:
    """Log bytes without the 8-byte header that the engine puts before each piece of a stream."""
    pieces, position = [], 0
    while position + 8 <= len(body) and body[position] in (0, 1, 2) and body[position + 1 : position + 4] == b"\0\0\0":
        size = int.from_bytes(body[position + 4 : position + 8], "big")
        pieces.append(body[position + 8 : position + 8 + size])
        position += 8 + size
    return b"".join(pieces) if pieces else body


def message_of(reply: Reply) -> str:
    """What the engine says of a refusal, in one line."""
    try:
        return str(reply.json()["message"]).strip().splitlines()[0]
    except (ValueError, KeyError, TypeError, IndexError):
        return f"status {reply.status}"


def _explain(error: OSError, path: Path) -> EngineError:
    if isinstance(error, PermissionError):
        return EngineDeniedError(
            "this user may not use Docker",
            where=str(path),
            fix='sudo usermod -aG docker "$USER", then log in again (or use sudo)',
        )
    if isinstance(error, TimeoutError):
        return EngineSilentError("Docker does not answer", where=str(path), fix="restart the Docker engine")
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        if shutil.which("docker") is None:
            return EngineAbsentError("Docker is not installed", fix="run `make setup`")
        return EngineAbsentError("Docker's engine is not running", where=str(path), fix="run `make setup`")
    return EngineError(f"Docker cannot be reached: {error}", where=str(path))
