"""Engines that are not there, not ours, too old, or lame: what answers at a socket of our own."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


@contextmanager
def socket_at(path: Path, owner: int = 0) -> Iterator[Path]:
    """Open a Unix socket that takes connections and never answers; its owner alone may use it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(16)
        path.chmod(0o600)
        os.chown(path, owner, owner)
        try:
            yield path
        finally:
            path.unlink()


class _OldEngine(BaseHTTPRequestHandler):
    """What an Engine of 2017 says; it cannot be installed here."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rpartition("/")[2]
        answers: dict[str, Any] = {
            "version": {"Version": "17.05.0-ce", "ApiVersion": "1.29", "MinAPIVersion": "1.12", "Os": "linux"},
            "info": {"MemTotal": 4 << 30, "DockerRootDir": "/var/lib/docker", "MemoryLimit": True},
            "json": [],
            "networks": [],
        }
        body = json.dumps(answers.get(path, {"message": "page not found"})).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        del args


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def _serving(path: Path, handler: type[socketserver.BaseRequestHandler]) -> Iterator[None]:
    with _UnixServer(str(path), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            path.unlink()


@contextmanager
def old_engine(path: Path) -> Iterator[Path]:
    """Pretend an Engine that is too old."""
    with _serving(path, _OldEngine):
        yield path


class _Limping(socketserver.BaseRequestHandler):
    """Hands a request on to the real Engine, unless it is one that hangs.

    Only the first request of a connection is looked at: so the Engine is asked to close each after its answer.
    """

    hangs = ""

    def handle(self) -> None:
        head = self.request.recv(65536)
        if self.hangs in head.partition(b" HTTP/")[0].partition(b"?")[0].decode():
            with suppress(OSError):
                self.request.recv(1)  # until the caller gives up
            return
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect("/var/run/docker.sock")
            line, _, headers = head.partition(b"\r\n")
            is_upgrade = b"\r\nconnection: upgrade" in head.lower()
            engine.sendall(head if is_upgrade else line + b"\r\nConnection: close\r\n" + headers)
            back = threading.Thread(target=_pass_on, args=(engine, self.request), daemon=True)
            back.start()
            _pass_on(self.request, engine)
            back.join(30)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def limping_engine(path: Path, hangs: str) -> Iterator[Path]:
    """Put the real Engine behind a socket of our own; requests whose path holds `hangs` are never answered."""
    with _serving(path, type("Handler", (_Limping,), {"hangs": hangs})):
        yield path
