"""What the clients meet: certificates of all kinds, servers that show them, and a proxy. All on 127.0.0.1."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files: the certificate, its key, and one with both."""

    certificate: str
    key: str
    both: str


class Authority:
    """A private CA in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _openssl(
            f"req -x509 {KEY} -keyout ca.key -out ca.crt -days 2 -subj /CN=private-ca"
            " -addext keyUsage=critical,keyCertSign",
            folder,
        )
        self.path = str(folder / "ca.crt")

    def signed(self, name: str, subject: str = "IP:127.0.0.1", days: int = 2) -> Certificate:
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={subject}\nauthorityKeyIdentifier=keyid\n")
        _openssl(f"req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}", self._folder)
        _openssl(
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days}"
            f" -extfile {name}.ext -out {name}.crt",
            self._folder,
        )
        return self._joined(name)

    def self_signed(self, name: str) -> Certificate:
        _openssl(
            f"req -x509 {KEY} -keyout {name}.key -out {name}.crt -days 2 -subj /CN={name}"
            " -addext subjectAltName=IP:127.0.0.1",
            self._folder,
        )
        return self._joined(name)

    def locked(self, certificate: Certificate, folder: Path) -> str:
        """The path of the certificate's key behind a passphrase."""
        _openssl(f"pkcs8 -topk8 -in {certificate.key} -passout pass:secret -out locked.key", folder)
        return str(folder / "locked.key")

    def _joined(self, name: str) -> Certificate:
        pem = self._folder / f"{name}.pem"
        pem.write_text("".join((self._folder / f"{name}.{part}").read_text() for part in ("crt", "key")))
        return Certificate(*(str(pem.with_suffix(f".{end}")) for end in ("crt", "key", "pem")))


def _openssl(words: str, folder: Path) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True, timeout=30)


class Server(ThreadingHTTPServer):
    """Answers with what it saw of a request, after `before` has run in the handler's thread."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.connections = 0
        self.requests = 0
        self.before: Callable[[], None] = lambda: None
        self.status = 200
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        connection = self.context.wrap_socket(request, server_side=True) if self.context else request
        with connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that refuse a certificate or give up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.requests += 1
        self.server.before()
        shown: Any = isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert()
        name = shown["subject"][0][0][1] if shown else None
        body = json.dumps({"path": self.path, "certificate": name}).encode()
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Proxy(ThreadingHTTPServer):
    """A forward proxy: CONNECT for HTTPS, whole URLs for HTTP. `seen` has a line a request, with the credentials."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_CONNECT(self) -> None:
        self._note()
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as target:
            self.send_response(200)
            self.end_headers()
            _pump(self.connection, target)
        self.close_connection = True

    def do_GET(self) -> None:
        self._note()
        url = urlsplit(self.path)
        with contextlib.closing(http.client.HTTPConnection(url.hostname or "", url.port)) as target:
            target.request("GET", url.path)
            body = target.getresponse().read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _note(self) -> None:
        credentials = b64decode(self.headers.get("Proxy-Authorization", "").removeprefix("Basic ")).decode()
        self.server.seen.append(f"{self.command} {self.path} {credentials}".strip())

    def log_message(self, *_: Any) -> None:
        pass


def _pump(client: socket.socket, other: socket.socket) -> None:
    while True:
        for source in select.select([client, other], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            (other if source is client else client).sendall(data)


Some = TypeVar("Some", bound=ThreadingHTTPServer)


@contextlib.contextmanager
def serving(server: Some) -> Iterator[Some]:
    """Serve in a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A port whose kernel accepts connections and where nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def full() -> Iterator[str]:
    """A port whose queue is full: the kernel drops what asks to connect, as a firewall would."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        with contextlib.suppress(TimeoutError):
            while True:
                stack.enter_context(socket.create_connection(listener.getsockname(), timeout=0.3))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def showing(certificate: Certificate, authority: Authority | None = None) -> ssl.SSLContext:
    """A server's context; with `authority`, it asks for a client certificate and takes none as an answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.both)
    if authority:
        context.load_verify_locations(authority.path)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
