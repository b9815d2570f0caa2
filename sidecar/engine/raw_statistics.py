"""Reads containers' counters over a kept-alive connection, past the Docker SDK. For these counters only.

The monitor reads them for each container in each round. http.client, which the SDK uses, parses an answer's header with
the parser for e-mail. With 60 containers that takes a third of a round's CPU time. So this module parses these answers
itself. All other calls go through DockerEngine.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress

from sidecar.engine.transport import MOST_BYTES

_LINE_END = b"\r\n"
_MOST_HEAD_BYTES = 64 * 1024
_MOST_SIZE_LINE_BYTES = 1024
_READ_BYTES = 64 * 1024
_STATUS = re.compile(r"[1-5][0-9]{2}(?![0-9])")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class BadHttpError(Exception):
    """The other side does not send valid HTTP."""


class StreamResponse:
    """One answer, fed as it comes. `status` is 0 until the header is complete; `ended` is true once the body is.

    `begun`: some data came. `closes`: the connection cannot be used again. `until_closed`: the end of the connection is
    the end of the body.
    """

    def __init__(self) -> None:
        self.status = 0
        self.ended = self.begun = self.closes = self.until_closed = False
        self._buffer = bytearray()
        self._chunked = False
        self._left = -1  # bytes left of the chunk or of the body; -1: a chunk's size comes next

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return the part of the body in them.

        Raises:
            BadHttpError: the bytes are not HTTP.
        """
        self._buffer += data
        self.begun = True
        if not self.status and not self._head():
            return b""
        return self._chunks() if self._chunked else self._plain()

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise BadHttpError("a header without an end")
            return False
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not _STATUS.match(rest):
            raise BadHttpError(f"an answer that begins with {first[:40]!r}")
        del self._buffer[: end + 4]
        self.status = int(rest[:3])
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.closes = headers.get("connection", "").lower() == "close"
        if not self._chunked:
            length = headers.get("content-length", "")
            self.until_closed = not _LENGTH.fullmatch(length)
            self.closes |= self.until_closed
            self._left = 1 << 62 if self.until_closed else int(length)
            self.ended = not self._left
        return True

    def _plain(self) -> bytes:
        body = bytes(self._buffer[: self._left])
        self._buffer.clear()
        self._left -= len(body)
        self.ended = not self._left
        return body

    def _chunks(self) -> bytes:
        buffer, position, parts = bytes(self._buffer), 0, []
        while not self.ended:
            if self._left < 0:
                end = buffer.find(_LINE_END, position)
                if end < 0:
                    if len(buffer) - position > _MOST_SIZE_LINE_BYTES:
                        raise BadHttpError("a chunk without a size")
                    break
                self._left, position = _size(buffer[position:end]), end + len(_LINE_END)
                self.ended = not self._left
                self._left += len(_LINE_END)  # a chunk has a line end behind it
                continue
            taken = buffer[position : position + self._left]
            position += len(taken)
            self._left -= len(taken)
            parts.append(taken[: max(0, len(taken) - max(0, len(_LINE_END) - self._left))])
            if self._left:
                break
            self._left = -1
        del self._buffer[:position]
        return b"".join(parts)


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(digits):
        raise BadHttpError(f"a chunk of {digits[:20]!r} bytes")
    return int(digits, 16)


class UnixGet:
    """Makes one request after the other. For one thread at a time.

    Each wait ends after `timeout_seconds`. An answer that drips ends at most one wait later.
    """

    def __init__(self, path: str, timeout_seconds: float) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds
        self._socket: socket.socket | None = None
        self._is_cut = False

    def cut(self) -> None:
        """Cancel a wait for an answer, at once and for good. For any thread."""
        self._is_cut = True
        if (link := self._socket) is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def get(self, target: str, most_bytes: int = MOST_BYTES) -> tuple[int, bytes]:
        """GET a target; return status and body. Open the connection again if the other side has closed it meanwhile.

        Raises:
            OSError: no connection, a time-out, or an answer that is too long or not HTTP.

        """
        if self._socket is not None:
            try:
                return self._exchange(self._socket, target, most_bytes)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the proxy may close an idle connection at any time; a GET can be sent again
        return self._exchange(self._connected(), target, most_bytes)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._is_cut:
            raise OSError("the call was cancelled")
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
            link.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: locust-kit\r\n\r\n".encode("ascii"))
            answer = StreamResponse()
            body = _read(link, answer, time.monotonic() + self._timeout_seconds, most_bytes)
        except BadHttpError as error:
            self.close()
            raise OSError(f"{error}") from error
        except BaseException:
            self.close()  # the next call must not read the rest of this answer
            raise
        if answer.closes:
            self.close()
        return answer.status, body


def _read(link: socket.socket, answer: StreamResponse, deadline: float, most_bytes: int) -> bytes:
    parts, size = [], 0  # a list of parts, because the allocator would copy a growing array
    while not answer.ended:
        data = link.recv(_READ_BYTES)
        if data:
            parts.append(answer.feed(data))
            size += len(parts[-1])
            if size > most_bytes:
                raise OSError(f"the answer has more than {most_bytes >> 20} MiB")
            if not answer.ended and time.monotonic() > deadline:
                raise TimeoutError("no complete answer in time")
        elif answer.status and answer.until_closed:
            break
        elif answer.begun:
            raise OSError("the connection was closed in the middle of an answer")
        else:
            raise ConnectionResetError("the connection was closed without an answer")
    return b"".join(parts)
