"""The answer to one GET, which may never end: HTTP/1.1's header and chunks, taken apart as they come. Pure.

http.client cannot be waited for by an event loop, and 60 quiet logs are not worth 60 threads.
"""

from __future__ import annotations

import re

from sidecar.common.text import clean

_LINE_END = b"\r\n"
_MOST_HEAD_BYTES = 64 * 1024
_MOST_SIZE_LINE_BYTES = 1024
_MOST_ERROR_BYTES = 4096
_STATUS = re.compile(r"[1-5][0-9]{2}(?![0-9])")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
OK = 200


class BadHttpError(Exception):
    """The other side does not speak HTTP as it should."""


def request(path: str) -> bytes:
    """Return the bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: locust-kit\r\n\r\n".encode("ascii")


class StreamResponse:
    """One answer, fed as it comes. `status` is 0 until the header is complete; `ended` once the body is.

    `begun` tells that anything came, `closes` that nothing follows on this connection, `until_closed` that its end is
    the end of the body.
    """

    def __init__(self) -> None:
        self.status = 0
        self.ended = self.begun = self.closes = self.until_closed = False
        self._buffer = bytearray()
        self._chunked = False
        self._left = -1  # bytes left of the chunk or of the body; -1: a chunk's size comes next

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; returns the part of the body in them.

        Raises:
            BadHttpError: this is no HTTP.
        """
        self._buffer += data
        self.begun = True
        if not self.status and not self._head():
            return b""
        return self._chunks() if self._chunked else self._plain()

    def error_text(self, body: bytes) -> str:
        """Return what an answer other than 200 says, in one line."""
        return f"status {self.status}: {clean(body[:_MOST_ERROR_BYTES].decode('utf-8', 'replace')).strip()[:200]}"

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise BadHttpError("a header without end")
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
        buffer, position, found = bytes(self._buffer), 0, []
        while not self.ended:
            if self._left < 0:
                end = buffer.find(_LINE_END, position)
                if end < 0:
                    if len(buffer) - position > _MOST_SIZE_LINE_BYTES:
                        raise BadHttpError("a chunk without a size")
                    break
                self._left, position = _size(buffer[position:end]), end + len(_LINE_END)
                self.ended = not self._left
                self._left += len(_LINE_END)  # a chunk has one behind it, too
                continue
            taken = buffer[position : position + self._left]
            position += len(taken)
            self._left -= len(taken)
            found.append(taken[: max(0, len(taken) - max(0, len(_LINE_END) - self._left))])
            if self._left:
                break
            self._left = -1
        del self._buffer[:position]
        return b"".join(found)


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(digits):
        raise BadHttpError(f"a chunk of {digits[:20]!r} bytes")
    return int(digits, 16)
