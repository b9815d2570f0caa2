"""The adapter: Docker's API on the unix socket, without docker-py, which takes several times the processor time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sidecar.common.errors import EngineError
from sidecar.common.text import clean
from sidecar.engine import log_lines, payload
from sidecar.engine.identity import PROJECT_LABEL, STACK_LABEL
from sidecar.engine.inspection import inspection as read_inspection
from sidecar.engine.inspection import owners
from sidecar.engine.unix_get import MOST_BYTES, UnixGet
from sidecar.model.observation import Inspected, Listed, LogEntry, StatsReading
from sidecar.model.signal import Owner

OLDEST_API = (1, 44)  # Engine 25: the first with a one-shot stats reading that does not wait a second
NEWEST_API = (1, 51)  # the newest whose answers are among the recorded payloads of the tests
_UNIX = "unix://"
_MOST_OF_ONE_BYTES = 1 << 20  # about one container; read four at a time, and JSON takes many times its length in memory
_OK, _NOT_FOUND = 200, 404


class DockerEngine:
    """The Engine protocol over HTTP. A connection may not be shared between threads, so each thread gets its own.

    Args:
        url: the engine's or the proxy's socket (`unix:///run/docker-proxy/docker.sock`).
        project: the Compose project to look at.
        watch_project: a second one whose containers are listed too; "" for none.
        is_swarm: `project` is a stack of Docker Swarm.
        timeout_seconds: how long any call may wait for an answer.
        now_ns: the clock, in nanoseconds since 1970.

    Raises:
        EngineError: at once when `url` is no unix socket; later, from any call, when the engine does not answer.

    """

    def __init__(
        self,
        url: str,
        project: str,
        timeout_seconds: int = 5,
        *,
        watch_project: str = "",
        is_swarm: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if not url.startswith(_UNIX):
            raise EngineError(f"DOCKER_HOST is {url!r}", wanted="a unix socket, unix:///path")
        self._url = url
        own = STACK_LABEL if is_swarm else PROJECT_LABEL
        watched = (_list_path(PROJECT_LABEL, watch_project),) if watch_project else ()
        self._projects = frozenset((project, watch_project))
        self._lists = (_list_path(own, project), *watched)
        self._timeout_seconds = timeout_seconds
        self._now_ns = now_ns
        self._version: str | None = None
        self._local = threading.local()
        self._is_cut = False
        self._opened: list[UnixGet] = []  # of all threads, so that close() can reach them

    def containers(self) -> Sequence[Listed]:
        """List the containers of the project, and of the watched one; a request each.

        The engine joins label filters with "and", so one request for both would have to list every Compose container
        of the machine. A request costs 0.12 ms of processor time here, docker-py's 0.87 ms (measured).
        """
        found = (one for path in self._lists for one in payload.listed(self._list(path)))
        # A task of Swarm may bear a Compose label of its image's.
        return [one for one in found if one.project is None or one.project in self._projects]

    def inspect(self, container_id: str) -> Inspected | None:
        """Inspect one container; None when it is gone."""
        at_ns = self._now_ns()  # before the engine looks: what an event tells meanwhile is newer
        found = self._json(f"/containers/{container_id}/json", "inspect")
        return None if found is None else replace(payload.inspected(found), life=read_inspection(found, at_ns))

    def stats(self, container_id: str) -> StatsReading | None:
        """Read the counters once, without the second of waiting that a reading with its own delta costs."""
        found = self._json(f"/containers/{container_id}/stats?stream=false&one-shot=true", "stats")
        return None if found is None else payload.counters(found)

    def logs(self, container_id: str, tail: int, *, tty: bool) -> Sequence[LogEntry]:
        """Read the end of a log. Not docker-py's `logs`: that one inspects the container first, each time."""
        body = self._get(f"/containers/{container_id}/logs?stdout=1&stderr=1&timestamps=1&tail={tail}", "logs")
        return log_lines.log_entries(body, tty=tty) if body else ()

    def everyone(self) -> Sequence[tuple[str, Owner]]:
        """Name all running containers of the engine, whatever project they are of, and whose they are."""
        return owners(self._list("/containers/json"))

    def api_version(self) -> str:
        """Return the API version spoken with this engine ("1.45"); asks for it the first time."""
        return self._api_version()

    def cut(self) -> None:
        """End every call that is under way, and refuse all that come. For any thread."""
        self._is_cut = True
        for connection in list(self._opened):
            connection.cut()

    def close(self) -> None:
        """Close every thread's connections. No other call may be under way."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    def _json(self, path: str, what: str) -> dict[str, Any] | None:
        """GET a JSON object; None for a 404."""
        body = self._get(path, what, _MOST_OF_ONE_BYTES)
        if body is None:
            return None
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise EngineError(f"Docker answered {what} with what is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise EngineError(f"Docker answered {what} with {type(value).__name__}", wanted="an object")
        return value

    def _list(self, path: str) -> list[dict[str, Any]]:
        """GET a JSON list of objects."""
        body = self._get(path, "list")
        try:
            value = json.loads(body or b"[]")
        except (ValueError, RecursionError) as error:
            raise EngineError(f"Docker answered list with what is not JSON: {error}") from error
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise EngineError(f"Docker answered list with {type(value).__name__}", wanted="a list of objects")
        return value

    def _get(self, path: str, what: str, most_bytes: int = MOST_BYTES) -> bytes | None:
        """GET a versioned path; None for a 404 (the container is gone)."""
        try:
            status, body = self._connection().get(f"/v{self._api_version()}{path}", most_bytes)
        except OSError as error:
            raise EngineError(_not_answering(error), where=self._url) from error
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise EngineError(f"Docker answers {what} with status {status}: {_reason(body)}")
        return body

    def _connection(self) -> UnixGet:
        """Return this thread's own connection."""
        if self._is_cut:
            raise OSError("told to stop")
        connection: UnixGet | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = UnixGet(self._url.removeprefix(_UNIX), self._timeout_seconds)
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    def _api_version(self) -> str:
        if self._version is None:
            self._version = self._agree_on_version()
        return self._version

    def _agree_on_version(self) -> str:
        try:
            status, body = self._connection().get("/version")
            answer = json.loads(body) if status == _OK else None
        except OSError as error:
            raise EngineError(_not_answering(error), where=self._url) from error
        except (ValueError, RecursionError) as error:
            raise EngineError("Docker answers version with what is not JSON", where=self._url) from error
        if not isinstance(answer, dict):
            raise EngineError(f"Docker answers version with status {status}: {_reason(body)}", where=self._url)
        return agreed_version(str(answer.get("ApiVersion", "")), str(answer.get("MinAPIVersion", "")))


def _list_path(label: str, project: str) -> str:
    filters = json.dumps({"label": [f"{label}={project}"]}, separators=(",", ":"))
    return f"/containers/json?all=1&filters={quote(filters)}"


def agreed_version(newest: str, oldest: str) -> str:
    """Choose the API version to speak: the newest that the engine and our recorded answers have in common.

    Raises:
        EngineError: there is none.

    """
    chosen = min(_parts(newest), NEWEST_API)
    if chosen < OLDEST_API or chosen < _parts(oldest):
        raise EngineError(
            f"Docker speaks API {oldest or '?'} to {newest or '?'}",
            wanted=f"one of {_dotted(OLDEST_API)} to {_dotted(NEWEST_API)} (Engine 25 or newer)",
        )
    return _dotted(chosen)


def _parts(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _reason(body: bytes) -> str:
    return clean(body[:200].decode("utf-8", "replace")).strip()


def _not_answering(error: OSError) -> str:
    return f"Docker does not answer: {error.strerror or error or type(error).__name__}"
