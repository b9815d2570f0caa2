"""Each class of failure, made for real by both HTTP users, and errors that need a machine of their own."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_failures.py")
DOCUMENTED = ROOT / "docs/failing-answers.md"
USERS = ("HttpUser", "FastHttpUser")
TIMES = 3
Counted = dict[str, dict[str, dict[str, Any]]]
"""What was counted, by answer and user: see the program."""

NEVER_READ = {  # no request gets to a server
    "HTTP on an HTTPS port", "closed port", "unknown host name", "SYN dropped", "no file descriptor left",
    "certificate: expired", "certificate: wrong-host", "certificate: self-signed",
}  # fmt: skip
TO_ANOTHER = {  # the request that follows the redirect goes to another server, or to none
    "redirect to a closed port", "redirect to HTTPS on an HTTP port", "redirect to an unknown host name",
    "redirect to a 404",
}  # fmt: skip

NO_LENGTH = "urllib3 ignores an invalid Content-Length and reads until the connection closes"
ABOVE = "requests raises only for 400 to 599"
EXPECTED = {  # class and detail, alike for both users
    "reset before the answer": "connection_reset ECONNRESET",
    "closed without an answer": "connection_reset closed",
    "cut off": "incomplete_response",
    "cut off in a chunk": "incomplete_response",
    "reset in the body": "connection_reset ECONNRESET",
    "hangs": "read_timeout",
    "not HTTP": "invalid_content status line",
    "hangs in the headers": "read_timeout",
    "hangs in the body": "read_timeout",
    "reset in the headers": "connection_reset ECONNRESET",
    "half closed": "incomplete_response",
    "endless redirects": "redirect_loop",
    "wrong Content-Encoding": "invalid_content zlib.error",
    "HTTP on an HTTPS port": "tls SSLError",
    "two Content-Length headers": "invalid_content Content-Length",
    "100 Continue, then closed": "connection_reset closed",
    "chunk size is not a number": "invalid_content chunk size",
    "last chunk missing": "incomplete_response",
    "503, cut off": "incomplete_response",
    "503, cut off in a chunk": "incomplete_response",
    "404, cut off": "incomplete_response",
    "HTTP/1.0, cut off": "incomplete_response",
    "HTTP/1.0 without a length": "good",
    "status is not a number": "invalid_content status line",
    "redirect to ftp": "redirect_refused",
    "redirect to javascript": "redirect_refused",
    "redirect without Location": "good",
    "not deflate": "invalid_content zlib.error",
    "redirect to a closed port": "connection_refused ECONNREFUSED",
    "redirect to HTTPS on an HTTP port": "tls SSLError",
    "redirect to an unknown host name": "dns EAI_NONAME",
    "redirect to a 404": "client_error 404",
    "closed port": "connection_refused ECONNREFUSED",
    "unknown host name": "dns EAI_NONAME",
    "SYN dropped": "connection_timeout",
    "certificate: expired": "tls SSLCertVerificationError",
    "certificate: wrong-host": "tls SSLCertVerificationError",
    "certificate: self-signed": "tls SSLCertVerificationError",
    "TLS, reset before the answer": "connection_reset closed",
    "TLS, closed without an answer": "connection_reset closed",
    "TLS, reset in the body": "incomplete_response",
    "TLS, hangs": "read_timeout",
    "no file descriptor left": "generator EMFILE",
    **{f"status {status}": f"client_error {status}" for status in (400, 401, 403, 404, 429)},
    **{f"status {status}": f"server_error {status}" for status in (500, 502, 503, 504)},
}
APART = {  # what HttpUser makes of it, what FastHttpUser makes of it, and what each client cannot know
    "negative Content-Length": ("good", "invalid_content Content-Length", NO_LENGTH),
    "Content-Length is not a number": ("good", "invalid_content Content-Length", NO_LENGTH),
    "cut off in the headers": (
        "good",
        "incomplete_response",
        "http.client treats the end of the connection as the end of the headers",
    ),
    "204 with a body": (
        "good",
        "invalid_content status line",
        "a 204 has no body: geventhttpclient reads the body as the next answer",
    ),
    "cut off in gzip": ("good", "invalid_content zlib.error", "urllib3 returns the part that it could unpack"),
    "status 099": (
        "invalid_content status line",
        "connection_reset closed",
        "geventhttpclient expects another answer after each status below 200",
    ),
    "status 600": ("good", "other 600", ABOVE),
    "status 999": ("good", "other 999", ABOVE),
    "a header of 100 kB": ("invalid_content LineTooLong", "good", "http.client reads lines of up to 64 KiB"),
    "500 headers": ("invalid_content HTTPException", "good", "http.client reads up to 100 headers"),
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
def counted(certificates: Path) -> Counted:
    found: Counted = printed(PROGRAM, certificates)
    return found


def expected(answer: str, user: str) -> str:
    return EXPECTED.get(answer) or APART[answer][USERS.index(user)]


def test_nothing_else_was_tried(counted: Counted) -> None:
    assert set(counted) == set(EXPECTED) | set(APART)
    assert len(counted) >= 40


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("answer", [*EXPECTED, *APART])
def test_each_answer_is_of_its_class_and_counted_as_the_server_did(counted: Counted, answer: str, user: str) -> None:
    of_user, wanted = counted[answer][user], expected(answer, user)
    is_good = wanted == "good"
    kind, _, detail = wanted.partition(" ")
    assert of_user["groups"] == ([] if is_good else [[kind, detail, TIMES]])
    assert (of_user["requests"], of_user["failures"]) == (TIMES, 0 if is_good else TIMES)
    more = sum(of_user[name] for name in ("redirects", "retries", "resent"))
    if answer in TO_ANOTHER:
        assert (of_user["read"], more) == (TIMES, TIMES)
    else:
        assert of_user["read"] == (0 if answer in NEVER_READ else TIMES + more)


def test_the_documented_table_is_what_was_found(counted: Counted) -> None:
    rows = ["| answer | HttpUser | FastHttpUser | requests sent | why they differ |", "| --- | --- | --- | --- | --- |"]
    for answer, users in counted.items():
        groups = [
            "; ".join(f"`{kind}` {detail}".strip() for kind, detail, _ in users[user]["groups"]) or "success"
            for user in USERS
        ]
        sent = ["-" if answer in NEVER_READ else f"{users[user]['read'] // TIMES}" for user in USERS]
        why = APART[answer][2] if answer in APART else ""
        rows.append(f"| {answer} | {' | '.join(groups)} | {', '.join(dict.fromkeys(sent))} | {why} |")
    text = DOCUMENTED.read_text()
    before, _, rest = text.partition("<!-- table -->\n")
    table, _, after = rest.partition("\n<!-- end -->")
    if os.environ.get("UPDATE_GOLDEN"):
        table = "\n".join(rows)
        DOCUMENTED.write_text(f"{before}<!-- table -->\n{table}\n<!-- end -->{after}")
    assert table.splitlines() == rows


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
