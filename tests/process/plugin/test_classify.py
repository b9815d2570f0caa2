"""Each class of failure, made for real by both HTTP users, and errors that need a machine of their own."""

from __future__ import annotations

import errno
import socket
import subprocess
from pathlib import Path

import pytest

from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_failures.py")

EXPECTED = {
    "nobody listens": "connection_refused",
    "no such name": "dns",
    "SYN dropped": "connection_timeout",
    "reset before the answer": "connection_reset",
    "closed without an answer": "connection_reset",
    "reset in the body": "connection_reset",
    "cut off": "incomplete_response",
    "cut off in a chunk": "incomplete_response",
    "hangs": "read_timeout",
    "no HTTP": "invalid_content",
    "not the encoding it says": "invalid_content",
    "redirects for ever": "redirect_loop",
    "not deflate": "invalid_content",
    "two lengths": "invalid_content",
    "a chunk size that is no number": "invalid_content",
    "a status that is no number": "invalid_content",
    "continue, and no more": "connection_reset",
    "no last chunk": "incomplete_response",
    "503, cut off": "incomplete_response",
    "503, cut off in a chunk": "incomplete_response",
    "404, cut off": "incomplete_response",
    "HTTP/1.0, cut off": "incomplete_response",
    "redirects to ftp": "redirect_refused",
    "redirects to javascript": "redirect_refused",
    "redirects to nowhere": "none",
    "plain where TLS is asked for": "tls",
    "certificate: expired": "tls",
    "certificate: wrong-host": "tls",
    "certificate: self-signed": "tls",
    "TLS, reset before the answer": "connection_reset",
    "TLS, closed without an answer": "connection_reset",
    "TLS, reset in the body": "incomplete_response",  # Python's ssl tells a reset as an early end
    "TLS, hangs": "read_timeout",
    "no descriptor left": "generator",
    **{f"status {status}": "client_error" for status in (400, 401, 403, 404, 429)},
    **{f"status {status}": "server_error" for status in (500, 502, 503, 504)},
}


APART = {  # what one client takes for a good answer, and the other does not
    "a length below zero": ("none", "invalid_content"),
    "a length that is no number": ("none", "invalid_content"),
    "cut off in the head": ("none", "incomplete_response"),
    "cut off in gzip": ("none", "invalid_content"),
    "status 600": ("none", "other"),
    "status 999": ("none", "other"),
    "a head of 100 kB": ("invalid_content", "none"),
    "500 headers": ("invalid_content", "none"),
}

AUTHORITY = """
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that nobody should trust: each file holds the key, too."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "ca.cnf").write_text(AUTHORITY)
    (folder / "index.txt").touch()
    for name, host, end in (
        ("expired", "localhost", "20200102000000Z"),
        ("wrong-host", "shop.invalid", "20490101000000Z"),
        ("self-signed", "localhost", "20490101000000Z"),
    ):
        names = f"-subj /CN={host} -addext subjectAltName=DNS:{host}"
        asked = f"req -newkey rsa:2048 -nodes {names} -keyout key.pem -out csr.pem"
        signed = (
            "ca -batch -config ca.cnf -selfsign -keyfile key.pem -in csr.pem -out cert.pem -notext"
            f" -startdate 20200101000000Z -enddate {end}"
        )
        for command in (asked, signed):
            subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
        (folder / f"{name}.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
        (folder / "index.txt").write_text("")
    return folder


@pytest.fixture(scope="module")
def classified(certificates: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = printed(PROGRAM, certificates)
    return found


def test_nothing_else_was_tried(classified: dict[str, dict[str, list[str]]]) -> None:
    assert set(classified) == set(EXPECTED) | set(APART)


@pytest.mark.parametrize("user", ["HttpUser", "FastHttpUser"])
@pytest.mark.parametrize("fault", EXPECTED)
def test_a_real_failure_is_of_its_class(classified: dict[str, dict[str, list[str]]], fault: str, user: str) -> None:
    kind, *detail = classified[fault][user]
    assert kind == EXPECTED[fault]
    if fault.startswith("status "):
        assert detail == [fault.removeprefix("status ")]


@pytest.mark.parametrize("fault", APART)
def test_what_only_one_client_takes_for_a_failure_is_of_its_class(
    classified: dict[str, dict[str, list[str]]], fault: str
) -> None:
    of_both = classified[fault]["HttpUser"], classified[fault]["FastHttpUser"]
    assert tuple(kind for kind, *_ in of_both) == APART[fault]
    if fault.startswith("status "):
        assert of_both[1][1] == fault.removeprefix("status ")


IN_ITS_OWN_PROCESS = """
import asyncio, errno, json, socket, sys
from locust_kit.failures.classify import classify
from locust.exception import CatchResponseError, ResponseError
from requests.exceptions import ConnectionError as Wrapped
def wrapped(inner):
    try:
        try:
            raise inner
        except Exception as error:
            raise Wrapped("50 connections, 404 words, timeout, ssl") from error
    except Exception as error:
        return error
cases = {
    "EADDRNOTAVAIL": (wrapped(OSError(errno.EADDRNOTAVAIL, "x")), 0),
    "EAI_AGAIN": (wrapped(socket.gaierror(socket.EAI_AGAIN, "x")), 0),
    "EHOSTUNREACH": (wrapped(OSError(errno.EHOSTUNREACH, "x")), 0),
    "failure() said 500": (CatchResponseError("Status 500"), 200),
    "failure() on a 404": (CatchResponseError("gone"), 404),
    "failure() with an exception": (json.JSONDecodeError("x", "", 0), 200),
    "unknown": (RuntimeError("connection timeout 502 refused"), 0),
    "unknown with a status": (RuntimeError("x"), 418),
}
loop = ValueError("x"); loop.__context__ = loop
cases["a loop of causes"] = (loop, 0)
# What stands alone is remembered by type, errno and status: neither mixes those up, nor stands in for one that wraps.
again = wrapped(ConnectionResetError(errno.ECONNRESET, "x"))
cases |= {
    "alone": (Wrapped("x"), 0),
    "alone, status 503": (Wrapped("x"), 503),
    "alone, status 404": (Wrapped("x"), 404),
    "alone, errno": (OSError(errno.ECONNREFUSED, "x"), 0),
    "alone, another errno": (OSError(errno.ECONNRESET, "x"), 0),
    "wraps by cause": (again, 503),
    "wraps by argument": (Wrapped(OSError(errno.EMFILE, "x")), 503),
    "a time-out of its own kind": (TimeoutError("x"), 0),
}
# As asyncio and clients for websockets raise them: without an errno.
closed = type("WebSocketConnectionClosedException", (Exception,), {"__module__": "websocket._exceptions"})
cases |= {
    "reset": (ConnectionResetError("Connection lost"), 0),
    "refused": (ConnectionRefusedError("nobody"), 0),
    "pipe": (BrokenPipeError("pipe"), 0),
    "aborted": (ConnectionAbortedError("aborted"), 0),
    "incomplete": (asyncio.IncompleteReadError(b"x", 3), 0),
    "memory": (MemoryError(), 0),
    "websocket": (closed("x"), 0),
    "a heir of it": (type("Own", (closed,), {})("x"), 0),
    "a group of one kind": (ExceptionGroup("x", [ConnectionRefusedError(111, "x"), OSError(111, "y")]), 0),
    "a group of two kinds": (ExceptionGroup("x", [ConnectionRefusedError(111, "x"), OSError(104, "y")]), 0),
    "wraps a group": (wrapped(ExceptionGroup("x", [ConnectionResetError("x")])), 0),
}
sys.stdout.write(json.dumps({name: list(classify(*case)) for name, case in cases.items()}))
"""


def test_what_wraps_an_error_and_words_in_it_change_nothing() -> None:
    assert printed("-c", IN_ITS_OWN_PROCESS) == {
        "EADDRNOTAVAIL": ["generator", "EADDRNOTAVAIL"],
        "EAI_AGAIN": ["generator", "EAI_AGAIN"],
        "EHOSTUNREACH": ["connection_timeout", errno.errorcode[errno.EHOSTUNREACH]],
        "failure() said 500": ["assertion", "200"],
        "failure() on a 404": ["assertion", "404"],
        "failure() with an exception": ["invalid_content", "JSONDecodeError"],
        "unknown": ["other", "RuntimeError"],
        "unknown with a status": ["client_error", "418"],
        "a loop of causes": ["other", "ValueError"],
        "alone": ["other", "ConnectionError"],
        "alone, status 503": ["server_error", "503"],
        "alone, status 404": ["client_error", "404"],
        "alone, errno": ["connection_refused", "ECONNREFUSED"],
        "alone, another errno": ["connection_reset", "ECONNRESET"],
        "wraps by cause": ["connection_reset", "ECONNRESET"],
        "wraps by argument": ["generator", "EMFILE"],
        "a time-out of its own kind": ["read_timeout", ""],
        "reset": ["connection_reset", "ConnectionResetError"],
        "refused": ["connection_refused", "ConnectionRefusedError"],
        "pipe": ["connection_reset", "BrokenPipeError"],
        "aborted": ["connection_reset", "ConnectionAbortedError"],
        "incomplete": ["incomplete_response", "IncompleteReadError"],
        "memory": ["generator", "MemoryError"],
        "websocket": ["connection_reset", "WebSocketConnectionClosedException"],
        "a heir of it": ["connection_reset", "WebSocketConnectionClosedException"],
        "a group of one kind": ["connection_refused", "ECONNREFUSED"],
        "a group of two kinds": ["other", "ExceptionGroup"],
        "wraps a group": ["connection_reset", "ConnectionResetError"],
    }
    assert socket.EAI_AGAIN
