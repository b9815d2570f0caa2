"""An HTTP connection over a unix socket, for http.client: the event stream is read with it."""

from __future__ import annotations

import http.client
import socket


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a unix socket; every wait on it ends after `timeout_seconds`."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        """Open the socket (called by http.client, also after a close)."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(self.timeout)
        try:
            link.connect(self._path)
        except BaseException:
            link.close()
            raise
        self.sock = link
