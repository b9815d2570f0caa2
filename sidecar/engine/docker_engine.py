"""The one client of Docker, for the monitor and the host's commands: the Docker SDK behind a few typed calls."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from sidecar.common.errors import EngineError
from sidecar.engine.labels import NUMBER_LABEL, PROJECT_LABEL, SERVICE_LABEL, is_helper
from sidecar.engine.transport import MOST_BYTES, BrokenAnswerError, Call, RefusedError, current, demultiplex

if TYPE_CHECKING:  # its import takes 0.15 s
    from requests import Response

    from sidecar.engine.sdk import Client

DEFAULT_SOCKET = "/var/run/docker.sock"
OLDEST_ENGINE = 25
OLDEST_API = (1, 44)  # Engine 25: the first whose one-shot stats reading does not wait a second
NEWEST_API = (1, 51)  # the newest version with recorded answers in the tests
_NOT_FOUND = 404
_SECONDS = 10.0
_PRUNE_SECONDS = 30.0
_MOST_OF_ONE_BYTES = 1 << 20  # about one container; parsed JSON takes many times that, and four are read at a time

T = TypeVar("T")
Json = dict[str, Any]  # an object of the engine: Docker defines its schema, and nobody has checked it
Filters = dict[str, list[str]]
Query = Mapping[str, str | int | None]  # None: left out


class EngineAbsentError(EngineError):
    """Docker is not installed, or its engine does not run. `make setup` fixes both."""


class EngineDeniedError(EngineError):
    """This user may not open the engine's socket."""


class EngineSilentError(EngineError):
    """The engine accepted the connection and did not answer in time."""


@dataclass(frozen=True, slots=True)
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
    config_hash: str = ""  # Compose's hash of the service
    image_id: str = ""

    @property
    def healthy(self) -> bool:
        """Return whether its last health check passed; False for a container without a health check."""
        return "(healthy)" in self.status


class DockerEngine:
    """One engine, behind its own socket or a proxy's. Any thread may make any call.

    Each call ends within `seconds`, or within its own limit, and may raise EngineError. The first call imports the SDK
    and negotiates the API version, so a command without a call pays nothing.

    Args:
        socket_path: the unix socket.
        seconds: how long a call may take.
        api_version: the API version to use; "": the choice of `agreed_version` after GET /version.
        oldest_api: the API version below which an engine is refused.
        explain: makes an error from a failure on the socket; the default one is for people at a host's terminal.
    """

    def __init__(
        self,
        socket_path: Path,
        seconds: float = _SECONDS,
        *,
        api_version: str = "",
        oldest_api: tuple[int, int] = (0, 0),
        explain: Callable[[OSError, Path], EngineError] | None = None,
    ) -> None:
        self.socket_path, self.seconds = socket_path, seconds
        self._api_version, self._oldest_api = api_version, oldest_api
        self._explain = explain or _for_people
        self._api: Client | None = None
        self._guard = threading.Lock()

    # ---- what every call goes through

    def ask(
        self,
        subject: str,
        question: Callable[[Client], T],
        *,
        seconds: float | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> T:
        """Make one call of the SDK within its limits.

        Raises:
            EngineError: no answer in time, or an answer that is not JSON; RefusedError if its status is not a success.
        """
        self.api_version()
        return self._within(Call(subject, seconds or self.seconds, most_bytes), question)

    def api_version(self) -> str:
        """Return the API version used with this engine ("1.45"); the first call asks the engine."""
        if not self._api_version:
            about = self.about()
            version = agreed_version(
                str(about.get("ApiVersion", "")), str(about.get("MinAPIVersion", "")), self._oldest_api
            )
            self.sdk().speak(version)
            self._api_version = version
        return self._api_version

    def sdk(self) -> Client:
        """Return the SDK's client; the first call creates it."""
        with self._guard:
            if self._api is None:
                from sidecar.engine.sdk import Client  # noqa: PLC0415  imported with the first call

                self._api = Client(str(self.socket_path), self._api_version)
            return self._api

    def cut(self) -> None:
        """Cancel every call under way, and refuse all later ones. For any thread."""
        self.sdk().cut()

    def close(self) -> None:
        """Close the idle connections."""
        if self._api is not None:
            self._api.close()

    def _within(self, call: Call, question: Callable[[Client], T]) -> T:
        token = current.set(call)
        try:
            return question(self.sdk())
        except (ValueError, RecursionError) as error:  # requests' own JSONDecodeError is an OSError as well
            raise EngineError(f"Docker's answer about {call.subject} is not JSON: {error}") from error
        except OSError as error:
            raise self._explain(error, self.socket_path) from error
        finally:
            current.reset(token)

    def _object(self, subject: str, question: Callable[[Client], object], seconds: float | None = None) -> Json | None:
        """Request an object; None if the engine does not know it."""
        try:
            value = self.ask(subject, question, seconds=seconds, most_bytes=_MOST_OF_ONE_BYTES)
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return checked_object(subject, value)

    def _list(self, subject: str, question: Callable[[Client], object]) -> list[Json]:
        value = self.ask(subject, question)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise EngineError(f"Docker's answer about {subject} is {type(value).__name__}", wanted="a list of objects")
        return value

    # ---- the engine

    def about(self, seconds: float | None = None) -> Json:
        """Return the answer of GET /version, the only call whose path has no API version."""
        call = Call("version", seconds or self.seconds, _MOST_OF_ONE_BYTES)
        return checked_object("version", self._within(call, lambda api: api.version(api_version=False)))

    def info(self, seconds: float | None = None) -> Json:
        """Return the engine's facts about itself and its machine."""
        return self._object("info", lambda api: api.info(), seconds) or {}

    def version(self) -> str:
        """Return the engine's version; raise EngineError if it is too old."""
        text = str(self.about().get("Version", "?"))
        major = re.match(r"\d+", text)
        if major and int(major[0]) < OLDEST_ENGINE:
            raise EngineError(
                f"Docker Engine is {text}",
                wanted=f"{OLDEST_ENGINE} or newer",
                fix="upgrade Docker; the kit never upgrades an installed engine",
            )
        return text

    # ---- containers

    def rows(self, filters: Filters | None = None, *, stopped: bool = True) -> list[Json]:
        """List containers as the engine does; with `stopped`, the stopped ones too."""
        return self._list("list", lambda api: api.containers(all=stopped, filters=filters))

    def containers(self, project: str | None = None) -> tuple[ListedContainer, ...]:
        """Return all containers, running or not; with `project`, only those of one Compose project."""
        rows = self.rows({"label": [f"{PROJECT_LABEL}={project}"]} if project else None)
        listed = map(_listed, rows)
        return tuple(container for container in listed if project is None or container.project == project)

    def inspect(self, container_id: str, seconds: float | None = None) -> Json | None:
        """Return the engine's facts about a container; None if it is gone."""
        return self._object("inspect", lambda api: api.inspect_container(container_id), seconds)

    def stats(self, container_id: str, seconds: float | None = None) -> Json | None:
        """Read the counters once. The monitor has a cheaper way for each container in each round."""
        return self._object("stats", lambda api: api.stats(container_id, stream=False, one_shot=True), seconds)

    def processes(self, container_id: str, seconds: float | None = None) -> list[list[str]] | None:
        """Return the pid and the command line of each process of a running container; None if it is gone."""
        answer = self._object("top", lambda api: api.top(container_id, ps_args="-eo pid,args"), seconds)
        return None if answer is None else answer.get("Processes") or []

    def log(self, container_id: str, tail: int, *, timestamps: bool = False, seconds: float | None = None) -> bytes:
        """Return the last lines that a container printed, both streams, as the engine frames them."""
        query: Query = {"stdout": 1, "stderr": 1, "timestamps": int(timestamps), "tail": tail}
        return self.ask(
            "logs", lambda api: api.answer(f"/containers/{quote(container_id)}/logs", query).content, seconds=seconds
        )

    def logs(self, container_id: str, tail: int) -> tuple[str, ...]:
        """Return the last lines that a container printed; empty if it has no readable log."""
        try:
            body = self.log(container_id, tail)
        except RefusedError:
            return ()
        return tuple(demultiplex(body).decode(errors="replace").splitlines()[-tail:])

    def restart(self, container_id: str, seconds: float) -> None:
        """Restart a container, waiting at most `seconds` for it."""
        try:
            self.ask("restart", lambda api: api.restart_container(container_id), seconds=seconds)
        except RefusedError as error:
            raise EngineError(f"Docker could not restart {container_id[:12]}: {error.reason}") from error

    def execute(self, container_id: str, command: Sequence[str], seconds: float) -> bytes:
        """Run a command in a container; return its output, both streams."""
        made = self.ask("exec", lambda api: api.exec_create(container_id, command), seconds=seconds)
        exec_id = str(checked_object("exec", made).get("Id"))
        return demultiplex(self.ask("exec", lambda api: api.exec_output(exec_id), seconds=seconds))

    # ---- images, networks, volumes

    def image(self, name: str) -> Json | None:
        """Return the engine's facts about a local image; None if no image has this name."""
        return self._object("image", lambda api: api.inspect_image(name))

    def images(self, reference: str) -> list[Json]:
        """List the local images whose name matches (`locust-kit/*`)."""
        return self._list("images", lambda api: api.images(reference))

    def remove_replaced_images(self) -> None:
        """Remove our images whose name a newer build has taken and that no container uses.

        This is housekeeping: if the engine refuses, it keeps the images and nothing else changes.
        """
        filters = {"dangling": ["true"], "label": ["io.locust-kit.inputs"]}
        with suppress(EngineError):
            self.ask("prune", lambda api: api.prune_images(filters), seconds=_PRUNE_SECONDS)

    def networks(self, filters: Filters | None = None) -> list[Json]:
        """List networks."""
        return self._list("networks", lambda api: api.networks(filters=filters))

    def network(self, name: str) -> Json | None:
        """Return the engine's facts about a network; None if no network has this name."""
        return self._object("network", lambda api: api.inspect_network(name))

    def volumes(self, filters: Filters) -> list[Json]:
        """List volumes."""
        return list((self._object("volumes", lambda api: api.volumes(filters)) or {}).get("Volumes") or [])

    # ---- a Swarm's manager

    def services(self, filters: Filters) -> list[Json]:
        """List services."""
        return self._list("services", lambda api: api.services(filters))

    def tasks(self, filters: Filters) -> list[Json]:
        """List tasks."""
        return self._list("tasks", lambda api: api.tasks(filters))

    def nodes(self) -> list[Json]:
        """List the machines."""
        return self._list("nodes", lambda api: api.nodes())

    # ---- events

    def events(
        self, since: str, until: str, filters: Mapping[str, Sequence[str]], seconds: float | None = None
    ) -> list[bytes]:
        """Return the events that the engine still has between two moments, oldest first, one line of JSON each.

        A moment is `seconds.nanoseconds`, because a float cannot hold it. `until` must be in the past; otherwise the
        engine keeps the answer open.
        """
        query: Query = {"since": since, "until": until, "filters": json.dumps(filters) if filters else None}
        body = self.ask("events", lambda api: api.answer("/events", query).content, seconds=seconds)
        return [line for line in body.split(b"\n") if line.strip()]


class EngineStream:
    """An answer without end: events, or a followed log. Any thread may call `cut`, which ends it at once.

    Args:
        engine: the engine to ask.
        subject: the name of the stream in errors ("events").
        path: the path to GET.
        query: the parameters of the request.
        seconds: how long its header may take.
    """

    def __init__(
        self, engine: DockerEngine, subject: str, path: str, query: Query, seconds: float | None = None
    ) -> None:
        self._engine, self._path, self._query = engine, path, query
        self._call = Call(subject, seconds or engine.seconds)
        self._answer: Response | None = None
        self._reading = threading.Lock()

    def open(self) -> None:
        """Open the stream; return once the engine has answered. By then it listens for us.

        Raises:
            OSError: no connection, no answer in time, or one that is not HTTP.
            EngineError: the engine or the proxy refuses, or they share no API version with the kit.
        """
        self._engine.api_version()
        token = current.set(self._call)
        try:
            with self._reading:
                api = self._engine.sdk()
                self._answer = api.answer(self._path, self._query, stream=True)
                self._call.go_on_without_end()
        finally:
            current.reset(token)

    def read(self) -> bytes:
        """Return the data that has come, or wait for some; b"" at the stream's end.

        Raises:
            OSError: the stream broke off; BrokenAnswerError if it just stopped, without an end.
        """
        with self._reading:
            return self._engine.sdk().read_some(self._answer) if self._answer is not None else b""

    def cut(self) -> None:
        """End the stream: a thread that waits in it gets an end or an error."""
        self._call.cut()

    def close(self) -> None:
        """Close the connection; a thread that still reads is cut off first."""
        self.cut()
        with self._reading:
            if self._answer is not None:
                self._answer.close()
                self._answer = None


def connect(environ: Mapping[str, str]) -> DockerEngine:
    """Return the engine of this machine, after a check that it answers and is new enough.

    Raises:
        EngineAbsentError: not installed or not running.
        EngineError: no permission, too old, or not answering.
    """
    engine = DockerEngine(find_socket(environ))
    engine.version()
    return engine


def find_socket(environ: Mapping[str, str]) -> Path:
    """Return the engine's unix socket: DOCKER_HOST, else the docker CLI's current context, else the default path.

    Raises:
        EngineError: the engine is on another machine, which cannot work: the stack mounts files of this machine.

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
    """Return the address in the docker CLI's current context; "" for the default one or if nothing can be read."""
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


def agreed_version(newest: str, oldest: str, least: tuple[int, int] = OLDEST_API) -> str:
    """Return the API version to use: the newest that the engine and our recorded answers have in common.

    `least` is the oldest version allowed. With (0, 0) every engine is allowed, so that a message can name its version.

    Raises:
        EngineError: there is no common version.
    """
    chosen = min(_parts(newest), NEWEST_API)
    if least == (0, 0):
        return _dotted(max(chosen, _parts(oldest)) if _parts(newest) > (0, 0) else OLDEST_API)
    if chosen < least or chosen < _parts(oldest):
        raise EngineError(
            f"Docker supports the API versions {oldest or '?'} to {newest or '?'}",
            wanted=f"a version from {_dotted(least)} to {_dotted(NEWEST_API)} (Engine 25 or newer)",
        )
    return _dotted(chosen)


def _parts(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def checked_object(subject: str, value: object) -> Json:
    """Return an answer that is a JSON object.

    Raises:
        EngineError: it is something else.
    """
    if not isinstance(value, dict):
        raise EngineError(f"Docker's answer about {subject} is {type(value).__name__}", wanted="an object")
    return value


def _listed(row: Json) -> ListedContainer:
    labels = row.get("Labels") or {}
    # Compose also labels the images that it builds with their project, and containers inherit these labels. Only a
    # number makes a container one of the stack's own.
    of_compose = NUMBER_LABEL in labels
    ports = ((port.get("IP", ""), port["PublicPort"]) for port in row.get("Ports") or [] if port.get("PublicPort"))
    return ListedContainer(
        id=row["Id"],
        name=(row.get("Names") or ["/?"])[0].lstrip("/"),
        project=labels.get(PROJECT_LABEL, "") if of_compose else "",
        service=labels.get(SERVICE_LABEL, "") if of_compose else "",
        state=row.get("State", ""),
        status=row.get("Status", ""),
        checkout=labels.get("com.docker.compose.project.working_dir", ""),
        oneoff=is_helper(labels),
        ports=tuple(ports),
        config_hash=labels.get("com.docker.compose.config-hash", ""),
        image_id=row.get("ImageID", ""),
    )


def _for_people(error: OSError, path: Path) -> EngineError:
    if isinstance(error, BrokenAnswerError):
        return EngineError(f"Docker's answer was cut off: {error}", where=str(path))
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
