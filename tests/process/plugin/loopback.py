"""Servers on the loopback for the programs of these tests; imported before all else, since gevent comes first."""

# ruff: noqa: E402 -- gevent first
from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import socket
import ssl
from collections.abc import Callable
from typing import Any

import gevent

Serve = Callable[[Any], None]
KEPT: list[Any] = []


def serving(serve: Serve, context: ssl.SSLContext | None = None) -> int:
    """The port of a server that does this to each connection, under TLS with a context."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)

    def answer(link: Any) -> None:
        try:
            serve(context.wrap_socket(link, server_side=True) if context else link)
        except OSError:
            link.close()

    def accept() -> None:
        while True:
            gevent.spawn(answer, server.accept()[0])

    gevent.spawn(accept)
    port: int = server.getsockname()[1]
    return port


def full_queue() -> int:
    """A port whose accept queue is full: the kernel drops each SYN."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    KEPT.append(server)
    for _ in range(3):
        link = socket.socket()
        link.setblocking(False)  # noqa: FBT003  the socket's own form of call
        link.connect_ex(server.getsockname())
        KEPT.append(link)
    port: int = server.getsockname()[1]
    return port
