"""One kept-alive connection over a unix socket, for the short questions asked of each container in each round.

http.client reads an answer's header with the parser for e-mail, which with 60 containers is a third of a round's
processor time; docker-py's client costs twice as much again. So the answer is taken apart here, as the log streams' is.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from sidecar.engine.http_stream import BadHttpError, StreamResponse, request

MOST_BYTES = 8 * 1024 * 1024  # a list of a thousand containers is smaller; an answer without end must not fill us
_READ_BYTES = 64 * 1024


class UnixGet:
    """Asks for one thing after the other. For one thread at a time.

    Each wait ends after `timeout_seconds`, and so does, one wait later at most, an answer that comes in drops.
    """

    def __init__(self, path: str, timeout_seconds: float) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None
        self._is_cut = False

    def cut(self) -> None:
        """End whatever waits for an answer, at once and for good. For any thread."""
        self._is_cut = True
        if (link := self._socket) is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def get(self, target: str, most_bytes: int = MOST_BYTES) -> tuple[int, bytes]:
        """GET a target; returns status and body. A connection that the other side has closed meanwhile is opened anew.

        Raises:
            OSError: no connection, a time-out, or an answer that is too long or not HTTP.

        """
        if self._socket is not None:
            try:
                return self._exchange(self._socket, target, most_bytes)
            except (BrokenPipeError, ConnectionResetError):
                pass  # an idle connection may be closed by the proxy at any time; a GET can be sent again
        return self._exchange(self._connected(), target, most_bytes)

    def close(self) -> None:
        """Close the connection; the next question opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._is_cut:
            raise OSError("told to stop")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(self._timeout_seconds)
        try:
            self._socket.connect(self._path)
        except BaseException:
            self.close()
            raise
        return self._socket

    def _exchange(self, link: socket.socket, target: str, most_bytes: int) -> tuple[int, bytes]:
        try:
            link.sendall(request(target))
            answer = StreamResponse()
            body = _read(link, answer, time.monotonic() + self._timeout_seconds, most_bytes)
        except BadHttpError as error:
            self.close()
            raise OSError(f"{error}") from error
        except BaseException:
            self.close()  # half an answer must not be read as the next one
            raise
        if answer.closes:
            self.close()
        return answer.status, body


def _read(link: socket.socket, answer: StreamResponse, deadline: float, most_bytes: int) -> bytes:
    parts, size = [], 0  # parts, for a growing array would be copied to and fro by the allocator
    while not answer.ended:
        data = link.recv(_READ_BYTES)
        if data:
            parts.append(answer.feed(data))
            size += len(parts[-1])
            if size > most_bytes:
                raise OSError(f"an answer of more than {most_bytes >> 20} MiB")
            if not answer.ended and time.monotonic() > deadline:
                raise TimeoutError("no whole answer in time")
        elif answer.status and answer.until_closed:
            break
        elif answer.begun:
            raise OSError("the connection was closed in the middle of an answer")
        else:
            raise ConnectionResetError("the connection was closed without an answer")
    return b"".join(parts)
