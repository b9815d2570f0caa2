"""Read the monitor's HTTP API from a command on the host.

This module is light to import, because each start of the command line pays for it.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote, urlencode

from sidecar.client.documents import IncidentList, LogLines
from sidecar.common.errors import StackError, why_unreachable
from sidecar.common.web_guard import authorization
from sidecar.model import document
from sidecar.model.incident import Incident
from sidecar.model.snapshot import LogLine, Snapshot
from sidecar.settings.model import project_word

T = TypeVar("T")
HOST = "127.0.0.1"
_NO_ANSWER = "no answer in time"
_MOST_BYTES = 32 * 1024 * 1024
_JSON = "application/json"
_SNAPSHOT, NODE = "/api/snapshot", "/api/node"
_NO_SUCH = (http.client.NOT_FOUND, http.client.METHOD_NOT_ALLOWED)
_START_TRIES, _START_PAUSE_SECONDS = 20, 0.5


class MonitorError(Exception):
    """The monitor gave no usable answer. The text is the reason, in a few words."""


class NotReadyError(MonitorError):
    """The monitor is up, but has no readings yet."""


class UnknownError(MonitorError):
    """The monitor is up, but does not know the id, or is too old for the request."""


class SidecarReader:
    """Reads the monitor at a port of this machine or of a cluster's node, over one kept-alive connection."""

    def __init__(
        self, port: int, timeout_seconds: float = 2.0, *, host: str = HOST, token: str = "", password: str = ""
    ) -> None:
        self.port, self.host = port, host
        self._headers = {"authorization": f"Bearer {token}"} if token else authorization(password)
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)

    def document(self) -> bytes:
        """Return the Snapshot as the JSON that the monitor sent.

        Raises:
            NotReadyError: it has no readings yet.
            MonitorError: it does not answer, or answers something else.
        """
        return self._asked(_SNAPSHOT)

    def snapshot(self) -> Snapshot:
        """Return the Snapshot.

        Raises:
            NotReadyError: it has no readings yet.
            MonitorError: it does not answer, or answers something else.
        """
        try:
            return document.loads(self.document())
        except document.DocumentError as error:
            raise MonitorError(f"its answer is not a Snapshot: {error}") from error

    def logs(self, container: str, limit: int) -> tuple[LogLine, ...]:
        """Return the last stored lines of one container's log, at most `limit`, oldest first.

        Raises:
            MonitorError: it does not answer, or has no logs to give.
        """
        query = urlencode({"container": container, "limit": limit})
        newest_first = self._read(LogLines, f"/api/logs?{query}", "log").lines
        return newest_first[:limit][::-1]

    def incident(self, incident_id: str) -> Incident:
        """Return one incident with all of its evidence.

        Raises:
            MonitorError: it does not answer, or has no such incident.
        """
        return self._read(Incident, f"/api/incidents/{quote(incident_id, safe='')}", "incident")

    def note(self, incident_id: str, text: str) -> Incident:
        """Add a person's note to an incident; return the incident with the note.

        Raises:
            UnknownError: it has no such incident, or is too old to take a note.
            MonitorError: it does not answer, or cannot write.
        """
        path = f"/api/incidents/{quote(incident_id, safe='')}/note"
        return self._read(Incident, path, "incident", json.dumps({"note": text}, ensure_ascii=False).encode())

    def incidents(self, **query: str | int) -> bytes:
        """Return the list of incidents as the JSON that the monitor sent; `query` is that of /api/incidents.

        Raises:
            MonitorError: it does not answer, or has no incidents to give.
        """
        return self._asked(f"/api/incidents?{urlencode(query)}")

    def incident_list(self, **query: str | int) -> IncidentList:
        """Return the list of incidents; `query` is that of /api/incidents.

        Raises:
            MonitorError: it does not answer, or has no incidents to give.
        """
        return self._read(IncidentList, f"/api/incidents?{urlencode(query)}", "list of incidents")

    def run(self, run_id: str, **query: str) -> bytes:
        """Return the report of a run as the JSON that the monitor sent; `query` is that of /api/runs/{run_id}.

        Raises:
            UnknownError: it has no such run, or is too old for runs.
            MonitorError: it does not answer.
        """
        return self._asked(f"/api/runs/{quote(run_id, safe='')}" + (f"?{urlencode(query)}" if query else ""))

    def runs(self, limit: int = 500) -> bytes:
        """Return the list of runs as the JSON that the monitor sent, newest first.

        Raises:
            MonitorError: it does not answer, or is too old for runs.
        """
        return self._asked(f"/api/runs?limit={limit}")

    def health(self) -> bytes:
        """Return the JSON of /healthz: the problems of the monitor's own parts, even if it is unhealthy.

        Raises:
            MonitorError: it does not answer, or has nothing yet.
        """
        return self._asked("/healthz")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _read(self, kind: type[T], path: str, name: str, sent: bytes | None = None) -> T:
        try:
            return document.loads_as(kind, self._asked(path, sent), name)
        except document.DocumentError as error:
            raise MonitorError(f"its answer is not a valid {name}: {error}") from error

    def _asked(self, path: str, sent: bytes | None = None) -> bytes:
        kept = self._connection.sock is not None
        try:
            try:
                return self._answer(path, sent)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                if not kept:
                    raise MonitorError("the connection was cut") from error
            return self._answer(path, sent)  # the monitor may have closed a kept connection; that is no failure
        except (OSError, http.client.HTTPException) as error:
            raise MonitorError(why_unreachable(error, _NO_ANSWER)) from error

    def _answer(self, path: str, sent: bytes | None) -> bytes:
        try:
            headers = {**self._headers, **({"content-type": _JSON} if sent else {})}
            self._connection.request("POST" if sent else "GET", path, sent, headers)
            answer = self._connection.getresponse()
            body = answer.read(_MOST_BYTES)
        except BaseException:
            self._connection.close()  # half an answer must not be read as the next one
            raise
        if answer.status == http.client.UNAUTHORIZED and "authorization" in self._headers:
            raise MonitorError("it has another token or WEB_PASSWORD: it belongs to another up or swarm-up")
        if answer.status in _NO_SUCH and not path.startswith((_SNAPSHOT, NODE)):
            raise UnknownError("it does not know this id")
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            raise NotReadyError("it has no readings yet")
        if answer.status != http.client.OK or "json" not in (answer.getheader("content-type") or ""):
            raise MonitorError(f"something else answers there (status {answer.status})")
        return body


def first_snapshot(reader: SidecarReader, project: str, sleep: Callable[[float], None] = time.sleep) -> Snapshot:
    """Read the first Snapshot of a command. Wait for a monitor that has just started.

    Raises:
        StackError: the stack is down, or another one answers at this port.
    """
    try:
        for _ in range(_START_TRIES):
            try:
                return _of_project(reader.snapshot(), project, reader.port)
            except NotReadyError:
                sleep(_START_PAUSE_SECONDS)
        return _of_project(reader.snapshot(), project, reader.port)
    except MonitorError as error:
        raise _down(project, f"{reader.host}:{reader.port}", error) from error


def _of_project(snapshot: Snapshot, project: str, port: int) -> Snapshot:
    if snapshot.project != project:
        raise StackError(
            f"port {port} belongs to the stack {snapshot.project!r}, not {project!r}",
            fix=f"set MONITOR_PORT to the port of {project!r}",
        )
    return snapshot


def _down(project: str, place: str, error: MonitorError) -> StackError:
    return StackError(
        f"the stack {project!r} is not running: no monitor at {place} ({error})",
        fix=f"make up WORKERS=4{project_word(project)}",
    )
