"""Fail for real, over the loopback, with both HTTP users, some times each; print what was counted, as JSON.

Of each answer and user: its groups as the plugin has them, what Locust counted, what the server read, and what the
client sent besides. A program of its own, because Locust changes Python's sockets and threads for the whole process.
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
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import FastHttpUser, HttpUser, task
from locust.env import Environment
from locust.event import Events

from locust_kit.failures import redirects
from locust_kit.failures.counters import RequestCounters
from locust_kit.meters.requests import RequestMeter

TIMEOUT_SECONDS, SHORT_SECONDS = 20.0, 1.0
TIMES_OUT = ("SYN dropped", "hangs", "hangs in the headers", "hangs in the body", "TLS, hangs")
AT_ONCE, TIMES = 12, 3
READ: Counter[str] = Counter()
"""How many requests the servers read, by the first part of the path: user and number of the answer."""


def head(link: Any) -> None:
    read = b""
    while b"\r\n\r\n" not in read:
        part = link.recv(4096)
        if not part:
            return
        read += part
    READ[read.split(b"/")[1].decode()] += 1


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


def half_close(link: Any) -> None:
    link.shutdown(socket.SHUT_WR)
    link.recv(4096)
    link.close()


SERVERS: dict[str, Serve] = {
    "reset before the answer": saying(b"", abort),
    "closed without an answer": saying(b""),
    "cut off": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc"),
    "cut off in a chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc"),
    "reset in the body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc", abort),
    "hangs": hang,
    "not HTTP": saying(b"SSH-2.0-OpenSSH\r\n"),
    "hangs in the headers": saying(b"HTTP/1.1 200 OK\r\nContent-Le", lambda _: gevent.sleep(60)),
    "hangs in the body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", lambda _: gevent.sleep(60)),
    "reset in the headers": saying(b"HTTP/1.1 200 OK\r\nContent-Le", abort),
    "half closed": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", half_close),
    "endless redirects": saying(answer(302, headers=b"Location: again\r\n")),
    "wrong Content-Encoding": saying(answer(200, b"hello", b"Content-Encoding: gzip\r\n")),
    **{f"status {status}": saying(answer(status)) for status in (400, 401, 403, 404, 429, 500, 502, 503, 504)},
    "HTTP on an HTTPS port": plain,
}


OK = b"HTTP/1.1 200 OK\r\n"
ODD: dict[str, bytes] = {
    "two Content-Length headers": OK + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
    "negative Content-Length": OK + b"Content-Length: -5\r\n\r\nhello",
    "Content-Length is not a number": OK + b"Content-Length: abc\r\n\r\nhello",
    "100 Continue, then closed": b"HTTP/1.1 100 Continue\r\n\r\n",
    "cut off in the headers": OK + b"Content-Le",
    "chunk size is not a number": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\nworld\r\n0\r\n\r\n",
    "last chunk missing": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "503, cut off": b"HTTP/1.1 503 X\r\nContent-Length: 1000\r\n\r\n<html>",
    "503, cut off in a chunk": b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
    "404, cut off": b"HTTP/1.1 404 X\r\nContent-Length: 1000\r\n\r\n<html>",
    "HTTP/1.0, cut off": b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
    "HTTP/1.0 without a length": b"HTTP/1.0 200 OK\r\n\r\nall there is",
    "204 with a body": b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello",
    "status 099": b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "status is not a number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "redirect to ftp": b"HTTP/1.1 302 X\r\nLocation: ftp://files.invalid/x\r\nContent-Length: 0\r\n\r\n",
    "redirect to javascript": b"HTTP/1.1 302 X\r\nLocation: javascript:alert(1)\r\nContent-Length: 0\r\n\r\n",
    "redirect without Location": b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n",
    "cut off in gzip": answer(
        200,
        gzip.compress(random.Random(1).randbytes(5000))[:2000],  # noqa: S311  no secret
        b"Content-Encoding: gzip\r\n",
    ),
    "not deflate": answer(200, b"no deflate", b"Content-Encoding: deflate\r\n"),
    "a header of 100 kB": OK + b"X-Long: " + b"a" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
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


class Corpus:
    """Each answer by its URL, and both users, whose requests Locust and the plugin count."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.urls = urls
        self._environment = Environment(events=Events(), user_classes=[HttpUser])
        self._environment.create_local_runner()
        self._counters = RequestCounters()
        self._counters.listen(self._environment)
        self._meter = RequestMeter(clean=str)
        self._meter.listen(self._environment)
        self._meter.begin()

    def ask(self, answer: str, kind: type[HttpUser | FastHttpUser]) -> None:
        """One GET that is answered so."""
        waits = SHORT_SECONDS if answer in TIMES_OUT else TIMEOUT_SECONDS
        is_verified = answer not in UNDER_TLS

        class Asking(kind):  # type: ignore[misc, valid-type]
            host = "http://unused"
            connection_timeout = network_timeout = waits
            insecure = not is_verified

            @task
            def nothing(self) -> None: ...

        own = {"timeout": waits, "verify": is_verified} if kind is HttpUser else {}
        key = self.key(answer, kind)
        Asking(self._environment).client.get(f"{self.urls[answer]}{key}/", name=key, **own)

    def key(self, answer: str, kind: type[HttpUser | FastHttpUser]) -> str:
        return f"{kind.__name__}-{list(self.urls).index(answer)}"

    def without_descriptors(self, answer: str) -> None:
        """The same with no descriptor left to open a socket with."""
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        try:
            for kind in USERS * TIMES:
                self.ask(answer, kind)
        finally:
            for descriptor in taken:
                os.close(descriptor)

    def found(self) -> dict[str, dict[str, Any]]:
        """What was counted of each answer and user."""
        groups: dict[str, Counter[tuple[str, str]]] = {}
        for _, name, kind, detail, _, count, *_ in self._counters.report()["groups"]:
            groups.setdefault(name, Counter())[kind, detail] += count
        rows = {row["name"]: row for row in self._meter.document()["endpoints"]}
        locust = {name: entry for (name, _), entry in self._environment.stats.entries.items()}
        return {
            answer: {
                kind.__name__: {
                    "groups": [[*group, count] for group, count in groups.get(key, Counter()).items()],
                    "requests": locust[key].num_requests,
                    "failures": locust[key].num_failures,
                    "read": READ[key],
                    **{name: rows.get(key, {}).get(name, 0) for name in ("redirects", "retries", "resent")},
                }
                for kind in USERS
                for key in [self.key(answer, kind)]
            }
            for answer in self.urls
        }


USERS: tuple[type[HttpUser | FastHttpUser], ...] = (HttpUser, FastHttpUser)
NO_DESCRIPTOR = "no file descriptor left"


def elsewhere(location: str) -> Serve:
    return saying(answer(302, headers=f"Location: {location}\r\n".encode()))


def main(certificates: Path) -> None:
    redirects.install()
    nobody = f"127.0.0.1:{closed_port()}"
    missing = f"127.0.0.1:{serving(SERVERS['status 404'])}"
    servers = SERVERS | {
        "redirect to a closed port": elsewhere(f"https://{nobody}/x"),
        "redirect to HTTPS on an HTTP port": elsewhere(f"https://127.0.0.1:{serving(plain)}/x"),
        "redirect to an unknown host name": elsewhere("http://nobody.invalid/x"),
        "redirect to a 404": elsewhere(f"http://{missing}/x"),
    }
    urls = {name: f"http://127.0.0.1:{serving(serve)}/" for name, serve in servers.items()}
    urls["HTTP on an HTTPS port"] = urls["HTTP on an HTTPS port"].replace("http:", "https:")
    urls["closed port"] = f"http://{nobody}/"
    urls["unknown host name"] = "http://nobody.invalid/"
    urls["SYN dropped"] = f"http://127.0.0.1:{full_queue()}/"
    for name in ("expired", "wrong-host", "self-signed"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem")
        urls[f"certificate: {name}"] = f"https://localhost:{serving(saying(answer(200)), context)}/"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "self-signed.pem")
    urls |= {name: f"https://localhost:{serving(serve, context)}/" for name, serve in UNDER_TLS.items()}
    corpus = Corpus({**urls, NO_DESCRIPTOR: urls["closed port"]})
    asked = [(name, kind) for name in urls for kind in USERS * TIMES]
    Pool(AT_ONCE).map(lambda pair: corpus.ask(*pair), asked)
    corpus.without_descriptors(NO_DESCRIPTOR)
    sys.stdout.write(json.dumps(corpus.found()))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
