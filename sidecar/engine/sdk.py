"""The Docker SDK's low-level client, adapted to an engine that is slow, gone or hostile. The only import of `docker`.

The import takes 0.15 s and 20 MB, so DockerEngine makes it with its first request, and nothing else makes it.
"""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import requests
import urllib3
from docker import APIClient
from docker.auth import AuthConfig
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

from sidecar.engine.docker_engine import Query
from sidecar.engine.transport import BrokenAnswerError, CallSocket, OpenSockets, RefusedError, current

_URL = "http+docker://localhost"
_READ_BYTES = 64 * 1024
_MOST_IDLE = 4  # connections kept for the next call: as many as are in use at the same time

_BUILDER = requests.adapters.HTTPAdapter()  # builds responses; it sends nothing

# urllib3 warns of each connection beyond its pool: many logs that end at the same time are normal.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class Client(APIClient):
    """An APIClient that keeps the limits of the current call, and raises only OSError and RefusedError.

    It skips the SDK's constructor. That one reads the user's ~/.docker/config.json, fails if the file is broken, and
    sends the headers in it. `version` is "" until the engine's version is known.
    """

    def __init__(self, socket_path: str, version: str = "") -> None:
        requests.Session.__init__(self)
        self._sockets = OpenSockets(socket_path)
        self._pool = _Pool(self._sockets, socket_path)
        self._version, self.base_url, self.timeout = version, _URL, 0  # each call has its own time-out
        self._general_configs: dict[str, Any] = {}
        self._auth_configs = AuthConfig({}, None)

    def speak(self, version: str) -> None:
        """Set the API version for all later calls. `version="auto"` would ask before a time-out can be set."""
        self._version = version

    def request(  # type: ignore[override]  # the SDK passes these arguments only
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: str | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,  # noqa: FBT001, FBT002  the SDK's own signature
        **_: object,
    ) -> requests.Response:
        """Send one request (all of the SDK's methods call this).

        It replaces requests' own method. That one merges cookies, proxies and .netrc into each request, which doubles
        its cost, and follows redirects to any address. The time-out is the call's, because the SDK waits for events for
        ever.
        """
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, data
        prepared.headers = requests.structures.CaseInsensitiveDict(headers)
        query = urlencode({name: value for name, value in (params or {}).items() if value is not None})
        if query:
            prepared.url = f"{url}?{query}"
        with _plain_errors():
            try:
                return self._exchange(prepared, stream=stream)
            except (requests.RequestException, urllib3.exceptions.ProtocolError) as error:
                # The proxy may close an idle connection at any time; a GET can be sent again.
                if method != "GET" or not current.get().reused or not isinstance(_innermost(error), ConnectionError):
                    raise
            return self._exchange(prepared, stream=stream)

    def _exchange(self, prepared: requests.PreparedRequest, *, stream: bool) -> requests.Response:
        raw = self._pool.urlopen(
            str(prepared.method),
            str(prepared.url).removeprefix(_URL),
            prepared.body,
            prepared.headers,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            timeout=current.get().seconds,
        )
        answer = _BUILDER.build_response(prepared, raw)
        if not stream:
            _ = answer.content  # read it now, while the call's limits apply
        return answer

    def _raise_for_status(self, response: requests.Response) -> None:
        """Refuse everything but success. The SDK's own method fails on an error that is not a JSON object."""
        if response.status_code // 100 != http.client.OK // 100:
            with _plain_errors():
                raise RefusedError(current.get().subject, response.status_code, response.content)

    def answer(self, path: str, query: Query, *, stream: bool = False) -> requests.Response:
        """GET what the SDK's own methods damage: logs and events.

        `logs` inspects the container each time, takes a time only as a float, which cannot hold nanoseconds, and drops
        the tag of stdout or stderr. `events` takes a broken answer for a complete one, and detects the end of a stream
        by its status only when the first event is read.
        """
        response = self.get(self._target(path), params=dict(query), stream=stream)
        self._raise_for_status(response)
        return response

    def read_some(self, answer: requests.Response) -> bytes:
        """Return the data that has come of a stream, or wait for some; b"" at its end.

        It replaces the SDK's iterator, which takes a broken stream for one that ended.

        Raises:
            OSError: the stream broke off.
        """
        with _plain_errors():
            return bytes(answer.raw.read1(_READ_BYTES))

    def exec_output(self, exec_id: str) -> bytes:
        """Run a command of exec_create, and return its output in frames.

        `exec_start` of the SDK asks for an upgraded connection, waits on it without a time-out, and loses data that
        came in one packet with the header.
        """
        wanted, headers = json.dumps({"Detach": False, "Tty": False}), {"Content-Type": "application/json"}
        response = self.post(self._target(f"/exec/{quote(exec_id)}/start"), data=wanted, headers=headers)
        self._raise_for_status(response)
        return bytes(response.content)

    def restart_container(self, container: str) -> None:
        """Restart with the container's own grace period; the SDK's `restart` would replace it by ten seconds."""
        self._raise_for_status(self.post(self._target(f"/containers/{quote(container)}/restart")))

    def _target(self, path: str) -> str:
        return f"{self.base_url}/v{self.api_version}{path}"

    def close(self) -> None:
        """Close the idle connections."""
        super().close()
        self._pool.close()

    def cut(self) -> None:
        """Cancel every call under way, and refuse all later ones."""
        self._sockets.cut()


class _Connection(UnixHTTPConnection):
    """A connection, kept alive between calls, whose socket keeps the limits of the current call."""

    def __init__(self, sockets: OpenSockets, path: str) -> None:
        super().__init__(_URL, path)
        self._sockets = sockets

    def connect(self) -> None:
        self.sock = self._sockets.connect()

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  whatever urllib3 passes
        if isinstance(self.sock, CallSocket):
            current.get().bind(self.sock, reused=True)
        super().request(*args, **kwargs)


class _Pool(UnixHTTPConnectionPool):
    def __init__(self, sockets: OpenSockets, path: str) -> None:
        super().__init__(_URL, path, maxsize=_MOST_IDLE)
        self._sockets = sockets

    def _new_conn(self) -> _Connection:  # type: ignore[override]  # the stubs of urllib3 want an abstract one
        return _Connection(self._sockets, self.socket_path)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise the original error of the socket, without the three exceptions that wrap it."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _innermost(error) from error


def _innermost(error: BaseException) -> OSError:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and not isinstance(inner, requests.RequestException):
            return inner
        if isinstance(inner, http.client.HTTPException):
            return BrokenAnswerError(f"{type(inner).__name__}: {inner}")
        inner = inner.__cause__ or inner.__context__
    return BrokenAnswerError(f"{type(error).__name__}: {error}")
