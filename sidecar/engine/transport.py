"""Adds to the Docker SDK's socket: an end to every wait, a limit to every answer, and a way to cancel both at once.

A socket's time-out is for one wait. An answer that drips, or has no end, would hold its caller for ever. The SDK can
cut a stream (CancellableStream.close), but only after its header has come.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from sidecar.common.errors import EngineError
from sidecar.common.text import clean

if TYPE_CHECKING:  # exists for the type checker only
    from _typeshed import WriteableBuffer

MOST_BYTES = 8 << 20  # a list of a thousand containers is smaller; an endless answer must not fill the memory
_MOST_REASON_BYTES = 4096
_HEADER_BYTES = 8  # stream number, three zeros, length as four big-endian bytes
_STDOUT, _STDERR = 1, 2
_MOST_FRAME_BYTES = 1 << 20  # the engine cuts lines at 16 KiB; more than this is not a frame
_STOPPED = "the call was cancelled"


class RefusedError(EngineError):
    """The engine, or the proxy before it, answered with an error status; `reason` is its own sentence."""

    def __init__(self, subject: str, status: int, body: bytes) -> None:
        self.status, self.reason = status, _reason(body[:_MOST_REASON_BYTES])
        super().__init__(f"Docker answers {subject} with status {status}: {self.reason}")


class BrokenAnswerError(OSError):
    """The answer stopped before its end, or is not HTTP."""


class Call:
    """One request: its subject, the limits of time and size, and its socket."""

    def __init__(self, subject: str, seconds: float, most_bytes: int = MOST_BYTES) -> None:
        self.subject, self.seconds = subject, seconds
        self.reused = False  # whether the other side may have closed the connection earlier
        self._deadline: float | None = time.monotonic() + seconds
        self._most_bytes, self._bytes = most_bytes, 0
        self._socket: CallSocket | None = None
        self._guard = threading.Lock()
        self._is_cut = False

    def bind(self, link: CallSocket, *, reused: bool) -> None:
        """Take a socket for this request.

        Raises:
            OSError: the call was cancelled before it began.
        """
        with self._guard:
            if self._is_cut:
                raise OSError(_STOPPED)
            self._socket, self.reused = link, reused
        link.call = self

    def check(self, size_bytes: int = 0) -> None:
        """Count received bytes, and check that time and size are within the limits.

        Raises:
            OSError: they are not.
        """
        if self._deadline is None:
            return
        self._bytes += size_bytes
        if self._bytes > self._most_bytes:
            raise OSError(f"the answer has more than {self._most_bytes >> 20} MiB")
        if time.monotonic() > self._deadline:
            raise TimeoutError("no complete answer in time")

    def go_on_without_end(self) -> None:
        """Lift the limits: the header of a stream has come, and from now on silence is normal, for days."""
        self._deadline = None
        if self._socket is not None:
            self._socket.settimeout(None)

    def cut(self) -> None:
        """Cancel the call at once and for good, from any thread: a thread that waits in it gets an end or an error."""
        with self._guard:
            self._is_cut = True
            if self._socket is not None:
                self._socket.cut()


class CallSocket(socket.socket):
    """A unix socket that keeps the limits of its call."""

    call: Call | None = None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0, /) -> int:
        """Receive within the limits (http.client calls this)."""
        if self.call is None:
            return super().recv_into(buffer, nbytes, flags)
        self.call.check()
        size = super().recv_into(buffer, nbytes, flags)
        if size:
            self.call.check(size)
        return size

    def cut(self) -> None:
        """Wake a thread that waits on this socket, with an end of file."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


class OpenSockets:
    """Opens the engine's socket, and can cancel all connections at once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: weakref.WeakSet[CallSocket] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._is_cut = False

    def connect(self) -> CallSocket:
        """Open a connection for the current call.

        Raises:
            OSError: there is no engine, or everything was cancelled.
        """
        call = current.get()
        link = CallSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(call.seconds)
            self._add(link)
            call.bind(link, reused=False)
            link.connect(self._path)
        except BaseException:
            link.close()  # the SDK leaves this to the garbage collector
            raise
        return link

    def _add(self, link: CallSocket) -> None:
        with self._guard:
            if self._is_cut:
                raise OSError(_STOPPED)
            self._open.add(link)

    def cut(self) -> None:
        """Cancel every call under way, and refuse all later ones."""
        with self._guard:
            self._is_cut = True
            for link in self._open:
                link.cut()


current: ContextVar[Call] = ContextVar("current")  # the call that this thread makes


def _reason(body: bytes) -> str:
    """Return the engine's reason for a refusal, in one line."""
    text = body.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        document = json.loads(text)
        text = str(document["message"]) if isinstance(document, dict) and document.get("message") else text
    return clean(text.strip().partition("\n")[0])[:200].strip()


class NotALogError(Exception):
    """The bytes are not a log stream of the engine."""


def demultiplex(body: bytes) -> bytes:
    """Return an output without the headers of its frames. An output without frames, as a terminal's, stays as it is.

    Written by hand: the SDK's function drops the tag that names a frame's stream, and takes any bytes for a frame.
    """
    if len(body) < _HEADER_BYTES:
        return body
    parts, position = [], 0
    try:
        for _, start, position in frames(body):
            parts.append(body[start:position])
    except NotALogError:
        return b"".join(parts) or body
    return b"".join([*parts, body[position + _HEADER_BYTES :]])  # with the received part of a frame that was cut off


def frames(buffer: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the stream, the start and the end of each whole frame. An output of two streams consists of frames.

    Raises:
        NotALogError: the bytes are not frames.
    """
    position = 0
    while position + _HEADER_BYTES <= len(buffer):
        start = position + _HEADER_BYTES
        end = start + int.from_bytes(buffer[position + 4 : start], "big")
        if end - start > _MOST_FRAME_BYTES or buffer[position] > _STDERR:
            raise NotALogError(f"a frame of {end - start} bytes on stream {buffer[position]}")
        if end > len(buffer):
            break
        yield buffer[position] or _STDOUT, start, end
        position = end
