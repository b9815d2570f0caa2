"""Fail for real, over the loopback, with both HTTP users; print how each failure was classified, as JSON.

A program of its own, because Locust changes Python's sockets and threads for the whole process.
"""

# ruff: noqa: I001 -- gevent first
from __future__ import annotations

from tests.process.plugin.loopback import Serve, full_queue, serving

import gzip
import json
import os
import random
import resource
import socket
import ssl
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, HttpUser, task
from locust.env import Environment
from locust.event import Events

from locust_kit.failures import redirects
from locust_kit.failures.classify import classify

TIMEOUT_SECONDS, SHORT_SECONDS = 20.0, 1.0
TIMES_OUT = ("SYN dropped", "hangs", "TLS, hangs")
AT_ONCE = 12


def head(link: Any) -> None:
    read = b""
    while b"\r\n\r\n" not in read:
        part = link.recv(4096)
        if not part:
            return
        read += part


def abort(link: Any) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def saying(text: bytes, end: Serve = lambda link: link.close()) -> Serve:
    def serve(link: Any) -> None:
        head(link)
        link.sendall(text)
        gevent.sleep(0.05)
        end(link)

    return serve


def answer(status: int, body: bytes = b"", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s" % (status, len(body), headers, body)


def hang(link: Any) -> None:
    head(link)
    gevent.sleep(60)


def plain(link: Any) -> None:
    link.recv(4096)
    link.sendall(answer(200))
    link.close()


SERVERS: dict[str, Serve] = {
    "reset before the answer": saying(b"", abort),
    "closed without an answer": saying(b""),
    "cut off": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"),
    "cut off in a chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc"),
    "reset in the body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc", abort),
    "hangs": hang,
    "no HTTP": saying(b"SSH-2.0-OpenSSH\r\n"),
    "redirects for ever": saying(answer(302, headers=b"Location: /again\r\n")),
    "not the encoding it says": saying(answer(200, b"hello", b"Content-Encoding: gzip\r\n")),
    **{f"status {status}": saying(answer(status)) for status in (400, 401, 403, 404, 429, 500, 502, 503, 504)},
    "plain where TLS is asked for": plain,
}


OK = b"HTTP/1.1 200 OK\r\n"
ODD: dict[str, bytes] = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
    "a length below zero": OK + b"Content-Length: -5\r\n\r\nhello",
    "a length that is no number": OK + b"Content-Length: abc\r\n\r\nhello",
    "continue, and no more": b"HTTP/1.1 100 Continue\r\n\r\n",
    "cut off in the head": OK + b"Content-Le",
    "a chunk size that is no number": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\nworld\r\n0\r\n\r\n",
    "no last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "503, cut off": b"HTTP/1.1 503 X\r\nContent-Length: 1000\r\n\r\n<html>",
    "503, cut off in a chunk": b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
    "404, cut off": b"HTTP/1.1 404 X\r\nContent-Length: 1000\r\n\r\n<html>",
    "HTTP/1.0, cut off": b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
    "status 600": b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "redirects to ftp": b"HTTP/1.1 302 X\r\nLocation: ftp://files.invalid/x\r\nContent-Length: 0\r\n\r\n",
    "redirects to javascript": b"HTTP/1.1 302 X\r\nLocation: javascript:alert(1)\r\nContent-Length: 0\r\n\r\n",
    "redirects to nowhere": b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n",
    "cut off in gzip": answer(
        200,
        gzip.compress(random.Random(1).randbytes(5000))[:2000],  # noqa: S311  no secret
        b"Content-Encoding: gzip\r\n",
    ),
    "not deflate": answer(200, b"no deflate", b"Content-Encoding: deflate\r\n"),
    "a head of 100 kB": OK + b"X-Long: " + b"a" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "500 headers": OK + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"Content-Length: 2\r\n\r\n{}",
}
SERVERS |= {name: saying(text) for name, text in ODD.items()}

UNDER_TLS: dict[str, Serve] = {
    "TLS, reset before the answer": saying(b"", abort),
    "TLS, closed without an answer": saying(b""),
    "TLS, reset in the body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc", abort),
    "TLS, hangs": hang,
}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def failure(
    kind: type[HttpUser | FastHttpUser], url: str, *, verify: bool = True, timeout: float = TIMEOUT_SECONDS
) -> list[str]:
    """The class of the one failure that a GET of this URL is."""
    environment = Environment(events=Events())
    found: list[list[str]] = []

    def listen(exception: BaseException, response: Any, **_: Any) -> None:
        found.append(list(classify(exception, response.status_code)) if exception else ["none"])

    environment.events.request.add_listener(listen)

    class Asking(kind):  # type: ignore[misc, valid-type]
        host = "http://unused"
        connection_timeout = network_timeout = timeout
        insecure = not verify

        @task
        def nothing(self) -> None: ...

    own = {"timeout": timeout, "verify": verify} if kind is HttpUser else {}
    Asking(environment).client.get(url, **own)
    assert len(found) == 1, found
    return found[0]


def without_descriptors(url: str) -> dict[str, list[str]]:
    """The same with no descriptor left to open a socket with."""
    users: dict[str, type[HttpUser | FastHttpUser]] = {"HttpUser": HttpUser, "FastHttpUser": FastHttpUser}
    for user in users.values():
        failure(user, url)  # whatever is opened once, is
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))
    try:
        return {name: failure(user, url) for name, user in users.items()}
    finally:
        for descriptor in taken:
            os.close(descriptor)


def main(certificates: Path) -> None:
    redirects.install()
    urls = {name: f"http://127.0.0.1:{serving(serve)}/" for name, serve in SERVERS.items()}
    urls["plain where TLS is asked for"] = urls["plain where TLS is asked for"].replace("http:", "https:")
    urls["nobody listens"] = f"http://127.0.0.1:{closed_port()}/"
    urls["no such name"] = "http://nobody.invalid/"
    urls["SYN dropped"] = f"http://127.0.0.1:{full_queue()}/"
    for name in ("expired", "wrong-host", "self-signed"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem")
        urls[f"certificate: {name}"] = f"https://localhost:{serving(saying(answer(200)), context)}/"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "self-signed.pem")
    urls |= {name: f"https://localhost:{serving(serve, context)}/" for name, serve in UNDER_TLS.items()}
    pool = Pool(AT_ONCE)
    asked = [(name, kind) for name in urls for kind in (HttpUser, FastHttpUser)]

    def ask(name: str, kind: type[HttpUser | FastHttpUser]) -> list[str]:
        timeout = SHORT_SECONDS if name in TIMES_OUT else TIMEOUT_SECONDS
        return failure(kind, urls[name], verify=name not in UNDER_TLS, timeout=timeout)

    found: dict[str, dict[str, list[str]]] = {name: {} for name in urls}
    for (name, kind), classified in zip(asked, pool.map(lambda pair: ask(*pair), asked), strict=True):
        found[name][kind.__name__] = classified
    found["no descriptor left"] = without_descriptors(urls["nobody listens"])
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
