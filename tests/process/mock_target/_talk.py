"""Talks to a mock target over plain sockets, where a reset, a short body and silence can be told apart."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = ROOT / "docker" / "mock-target"
HAS_OPENSSL = shutil.which("openssl") is not None
DEADLINE_SECONDS = 40.0


@dataclass(frozen=True)
class Heard:
    """What came back on a connection, and how it ended: closed, reset or silent."""

    raw: bytes
    end: str

    @property
    def status(self) -> int | None:
        return int(self.raw.split(b" ", 2)[1]) if self.raw else None

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.raw.split(b"\r\n\r\n", 1)[1] if b"\r\n\r\n" in self.raw else b""


@dataclass(frozen=True)
class Target:
    """Where a mock target listens."""

    http_port: int
    https_port: int | None
    process: subprocess.Popen[str] | None = None

    def connect(self, *, tls: bool = False, patience: float = DEADLINE_SECONDS) -> socket.socket:
        port = self.https_port if tls else self.http_port
        assert port is not None, "this target has no TLS"
        plain = socket.create_connection(("127.0.0.1", port), timeout=patience)
        return trusting_all().wrap_socket(plain) if tls else plain

    def hear(self, path: str, *, tls: bool = False, patience: float = DEADLINE_SECONDS, method: str = "GET") -> Heard:
        """One request on a connection of its own, read until it ends or is silent for `patience` seconds."""
        with self.connect(tls=tls, patience=patience) as line:
            line.sendall(f"{method} {path} HTTP/1.1\r\nHost: mock-target\r\nConnection: close\r\n\r\n".encode())
            return listen(line)

    def json(self, path: str, method: str = "GET", body: bytes | None = None) -> Any:
        """A JSON answer through the standard library's client."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=DEADLINE_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            return json.loads(connection.getresponse().read())

    def counts(self) -> Any:
        return self.json("/_mock/counts")

    def reset(self) -> None:
        self.json("/_mock/reset", "POST")


def trusting_all() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def listen(line: socket.socket) -> Heard:
    """Reads to the end, whichever it is."""
    heard = b""
    try:
        while piece := line.recv(65_536):
            heard += piece
    except ConnectionResetError:
        return Heard(heard, "reset")
    except TimeoutError:
        return Heard(heard, "silent")
    return Heard(heard, "closed")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition with a generous deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def started() -> Iterator[Target]:
    """A mock target in a process of its own, gone afterwards."""
    command = [sys.executable, "-m", "mock_target", "--host", "127.0.0.1", "--http-port", "0", "--https-port", "0"]
    with subprocess.Popen(
        command if HAS_OPENSSL else [*command, "--no-tls"],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("{"), f"the mock target did not start: {line}{process.stdout.read()}"
            yield Target(**json.loads(line), process=process)
        finally:
            process.kill()
