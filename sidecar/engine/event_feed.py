"""Connections to the engine's `/events`: one that stays open, and short ones that ask what the engine remembers."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlencode

from sidecar.common.errors import EngineError
from sidecar.common.text import clean
from sidecar.common.times import unix_time
from sidecar.engine.event_parse import FILTERS
from sidecar.engine.unix_get import UnixGet
from sidecar.engine.unix_http import UnixConnection

_CHUNK_BYTES = 1 << 16
_MOST_REASON_BYTES = 4096
_LONGEST_LINE_BYTES = 1 << 20  # an event carries its container's labels; a longer one is passed over, not kept


class EventConnection:
    """One event stream. `cut` may be called from another thread at any time, and ends `lines` at once."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        self._connection = UnixConnection(path, timeout_seconds)
        self._socket: socket.socket | None = None
        self._guard = threading.Lock()
        self._is_cut = False

    def open(self, version: str, since_ns: int | None) -> http.client.HTTPResponse:
        """Ask for the stream; returns once the engine has answered, which is after it has begun to listen for us.

        Raises:
            OSError, http.client.HTTPException: no connection, no answer in time, or one that is not HTTP.
            EngineError: the engine or the proxy refuses.

        """
        self._connection.connect()
        with self._guard:
            self._socket = self._connection.sock
            if self._is_cut:
                raise OSError("told to stop")
        self._connection.request("GET", _target(version, since_ns, None, filtered=True))
        answer = self._connection.getresponse()
        if answer.status != http.client.OK:
            raise EngineError(_refusal(answer.status, answer.read(_MOST_REASON_BYTES)))
        # From here on silence is normal, for days: the stream's watchdog looks after it, and `cut` ends the wait.
        self._connection.wait_for_ever()
        return answer

    def cut(self) -> None:
        """End the stream: whoever waits in it gets the end of it."""
        with self._guard:
            self._is_cut = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection. Only for the thread that reads."""
        with self._guard:
            self._socket = None
        self._connection.close()


def lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Give each whole line of a stream as it comes, until the stream ends."""
    rest = b""
    while part := answer.read1(_CHUNK_BYTES):
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > _LONGEST_LINE_BYTES:
            rest = b""  # what is still to come of it is the end of a JSON string, and no event


def remembered(
    path: str, version: str, since_ns: int, until_ns: int, *, filtered: bool, timeout_seconds: float
) -> tuple[bytes, ...]:
    """Ask the engine which events it still holds between two moments, oldest first; `filtered`: only those we follow.

    Raises:
        OSError: no connection, no answer in time, or one that is not HTTP.
        EngineError: the engine or the proxy refuses.

    """
    connection = UnixGet(path, timeout_seconds)
    try:
        # `until` must lie in the past, or the engine would keep the answer open.
        status, body = connection.get(_target(version, since_ns, until_ns, filtered=filtered))
    finally:
        connection.close()
    if status != http.client.OK:
        raise EngineError(_refusal(status, body))
    return tuple(line for line in body.split(b"\n") if line.strip())


def _target(version: str, since_ns: int | None, until_ns: int | None, *, filtered: bool) -> str:
    query = {"filters": FILTERS} if filtered else {}
    if since_ns is not None:
        query["since"] = unix_time(since_ns)
    if until_ns is not None:
        query["until"] = unix_time(until_ns)
    return f"/v{version}/events?{urlencode(query)}"


def _refusal(status: int, body: bytes) -> str:
    return f"Docker answers events with status {status}: {clean(body[:200].decode('utf-8', 'replace')).strip()}"
