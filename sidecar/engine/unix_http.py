"""An HTTP connection over a unix socket, for http.client: the event stream is read with it."""

from __future__ import annotations

import http.client
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Link(socket.socket):
    """A unix socket on which nothing more is received after a deadline (on the monotonic clock; None: none)."""

    deadline: float | None = None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0, /) -> int:
        """Receive (called by http.client). A socket's own time-out is of one wait: an answer may come in drops."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeoutError("no whole answer in time")
        return super().recv_into(buffer, nbytes, flags)


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a unix socket, for one question.

    Every wait on it ends after `timeout_seconds`, and so does, one wait later at most, an answer that comes in drops.
    """

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path
        self._seconds = timeout_seconds
        self._link: _Link | None = None

    def connect(self) -> None:
        """Open the socket (called by http.client, also after a close)."""
        link = self._link = _Link(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(self._seconds)
        link.deadline = time.monotonic() + self._seconds
        try:
            link.connect(self._path)
        except BaseException:
            link.close()
            raise
        self.sock = link

    def wait_for_ever(self) -> None:
        """Let the answer, which has begun, go on without end, in silence even."""
        if self._link is not None:
            self._link.deadline = None
            self._link.settimeout(None)
