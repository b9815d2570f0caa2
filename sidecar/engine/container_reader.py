"""Reads from Docker what the monitor needs in each round: the containers of its projects, as observations."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from sidecar.common.errors import EngineError
from sidecar.engine import payload
from sidecar.engine.docker_engine import OLDEST_API, DockerEngine, Json, checked_object
from sidecar.engine.labels import PROJECT_LABEL, STACK_LABEL
from sidecar.engine.raw_statistics import UnixGet
from sidecar.engine.stats import counters
from sidecar.engine.transport import RefusedError
from sidecar.model.observation import Inspected, Listed, StatsReading
from sidecar.model.signal import Owner

_UNIX = "unix://"
_MOST_STATS_BYTES = 1 << 20  # four are read at a time, and parsed JSON takes many times its length in memory
_OK, _NOT_FOUND = 200, 404


class Engine(Protocol):
    """The calls of a round. Each may raise EngineError, and each ends within the engine's time-out.

    Several threads call `inspect` and `stats` at once. ContainerReader implements them; tests use a fake.
    """

    def containers(self) -> Sequence[Listed]:
        """List the project's containers in any state, without one-off containers and the kit's helper containers."""

    def inspect(self, container_id: str) -> Inspected | None:
        """Inspect a container; None if it is gone."""

    def stats(self, container_id: str) -> StatsReading | None:
        """Read the counters once; None if the container is gone or does not run."""


def monitor_engine(url: str, seconds: float = 5.0, api_version: str = "") -> DockerEngine:
    """Return the engine behind `url`, its socket or the proxy's (`unix:///run/docker-proxy/docker.sock`).

    Raises:
        EngineError: `url` is not a unix socket.
    """
    if not url.startswith(_UNIX):
        raise EngineError(f"DOCKER_HOST is {url!r}", wanted="a unix socket, unix:///path")
    return DockerEngine(
        Path(url.removeprefix(_UNIX)), seconds, api_version=api_version, oldest_api=OLDEST_API, explain=_not_answering
    )


class ContainerReader:
    """The Engine protocol over DockerEngine.

    Args:
        engine: the engine to read.
        project: the Compose project to list.
        watch_project: a second project to list; "" for no second one.
    """

    def __init__(
        self,
        engine: DockerEngine,
        project: str,
        *,
        watch_project: str = "",
        is_swarm: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine, self._now_ns = engine, now_ns
        own = f"{STACK_LABEL if is_swarm else PROJECT_LABEL}={project}"
        self._labels = (own, f"{PROJECT_LABEL}={watch_project}") if watch_project else (own,)
        self._projects = frozenset((project, watch_project))
        self._local = threading.local()  # each thread has its own raw connection, because they cannot be shared
        self._opened: list[UnixGet] = []  # of all threads, so that close() can reach them
        self._is_cut = False

    def containers(self) -> Sequence[Listed]:
        """List the containers of the project, and of the watched one, with one request each.

        The engine combines label filters with "and". One request for both would have to list every Compose container of
        the machine.
        """
        lists = (self._engine.rows({"label": [label]}) for label in self._labels)
        listed = (container for rows in lists for container in payload.listed(rows))
        # A container may have its Compose label from its image alone. It belongs to no project, or to one of Swarm.
        return [container for container in listed if container.project in self._projects]

    def inspect(self, container_id: str) -> Inspected | None:
        """Inspect one container; None if it is gone."""
        at_ns = self._now_ns()  # before the engine looks, because events that come meanwhile are newer
        answer = self._engine.inspect(container_id)
        if answer is None:
            return None
        return replace(payload.inspected(answer), inspection=payload.inspection(answer, at_ns))

    def stats(self, container_id: str) -> StatsReading | None:
        """Read the counters once. A reading with its own difference would take a second longer."""
        answer = self._raw_stats(f"/containers/{container_id}/stats?stream=false&one-shot=true")
        return None if answer is None else counters(answer)

    def everyone(self) -> Sequence[tuple[str, Owner]]:
        """List all running containers of the engine with their owners, whatever their project."""
        return payload.owners(self._engine.rows(stopped=False))

    def cut(self) -> None:
        """Cancel every call under way, and refuse all later ones. For any thread."""
        self._is_cut = True
        self._engine.cut()
        for connection in list(self._opened):
            connection.cut()

    def close(self) -> None:
        """Close all connections. No other call may be under way."""
        self._engine.close()
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    def _raw_stats(self, path: str) -> Json | None:
        version = self._engine.api_version()
        try:
            status, body = self._connection().get(f"/v{version}{path}", _MOST_STATS_BYTES)
        except OSError as error:
            raise _not_answering(error, self._engine.socket_path) from error
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise RefusedError("stats", status, body)
        try:
            return checked_object("stats", json.loads(body))
        except (ValueError, RecursionError) as error:
            raise EngineError(f"Docker's answer about stats is not JSON: {error}") from error

    def _connection(self) -> UnixGet:
        """Return this thread's own connection."""
        if self._is_cut:
            raise OSError("the call was cancelled")
        connection: UnixGet | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = UnixGet(str(self._engine.socket_path), self._engine.seconds)
            self._local.connection = connection
            self._opened.append(connection)
        return connection


def _not_answering(error: OSError, path: Path) -> EngineError:
    reason = error.strerror or error or type(error).__name__
    return EngineError(f"Docker does not answer: {reason}", where=f"{_UNIX}{path}")
