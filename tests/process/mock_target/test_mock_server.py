"""Each behaviour as it is seen on the socket, compared with what the server says it did."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.process.mock_target._talk import HAS_OPENSSL, SOURCE, Target, listen, started, wait_until

needs_openssl = pytest.mark.skipif(
    not HAS_OPENSSL, reason="no openssl command here; the image has it, and its own test"
)
on_both = pytest.mark.parametrize("tls", [False, pytest.param(True, marks=needs_openssl)], ids=["http", "https"])


@on_both
@pytest.mark.parametrize("path", ["/api/health", "/api/data", "/fast"])
def test_the_seeds_paths_answer_success(target: Target, path: str, *, tls: bool) -> None:
    heard = target.hear(path, tls=tls)
    assert (heard.status, heard.headers["content-type"]) == (200, "application/json")
    assert json.loads(heard.body)["success"] is True
    assert target.counts()["rows"] == [{"path": path, "behaviour": "ok", "status": 200, "count": 1}]


@pytest.mark.parametrize("status", [200, 204, 304, 400, 404, 418, 429, 500, 502, 503, 504, 599])
def test_a_status_comes_as_asked(target: Target, status: int) -> None:
    assert target.hear(f"/status/{status}").status == status
    assert target.counts()["statuses"] == {str(status): 1}


def test_a_reset_is_a_real_one(target: Target) -> None:
    heard = target.hear("/reset")
    assert (heard.raw, heard.end) == (b"", "reset")
    assert target.counts()["rows"] == [{"path": "/reset", "behaviour": "reset", "status": None, "count": 1}]


@needs_openssl
def test_a_reset_is_a_real_one_over_tls_too(target: Target) -> None:
    line = target.connect(tls=True)
    line.sendall(b"GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")
    # Python's TLS reports a reset as an early end: TCP itself is asked.
    with socket.socket(fileno=line.detach()) as plain:
        plain.settimeout(5)
        assert listen(plain).end == "reset"
    assert target.counts()["behaviours"] == {"reset": 1}


def test_a_reset_can_come_in_the_middle_of_a_body(target: Target) -> None:
    heard = target.hear("/reset?after=body")
    assert heard.end == "reset"
    assert len(heard.body) < 1000
    assert target.counts()["rows"] == [{"path": "/reset", "behaviour": "reset", "status": 200, "count": 1}]


@on_both
def test_a_truncated_body_is_half_of_what_was_promised(target: Target, *, tls: bool) -> None:
    heard = target.hear("/truncate?bytes=800", tls=tls)
    assert (heard.status, heard.headers["content-length"]) == (200, "800")
    assert (len(heard.body), heard.end) == (400, "closed")
    assert target.counts()["behaviours"] == {"truncate": 1}


@on_both
def test_a_hanging_connection_is_open_and_silent_until_the_client_leaves(target: Target, *, tls: bool) -> None:
    with target.connect(tls=tls, patience=0.3) as line:
        line.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = listen(line)
        assert (heard.raw, heard.end) == (b"", "silent")
        assert target.counts()["hanging_now"] == 1
    wait_until(lambda: target.counts()["hanging_now"] == 0, "the server lets go of a client that left")
    assert target.counts()["behaviours"] == {"hang": 1}


def test_a_hang_can_begin_in_the_middle_of_a_body(target: Target) -> None:
    heard = target.hear("/hang?after=body", patience=0.3)
    assert (heard.status, len(heard.body), heard.end) == (200, 500, "silent")


def test_a_slow_answer_takes_as_long_as_asked(target: Target) -> None:
    begin = time.monotonic()
    heard = target.hear("/slow?ms=300")
    assert 0.3 <= time.monotonic() - begin < 3
    assert (heard.status, json.loads(heard.body)["success"]) == (200, True)
    assert target.counts()["behaviours"] == {"slow": 1}


def test_a_client_that_leaves_before_its_answer_is_counted_as_gone(target: Target) -> None:
    assert target.hear("/slow?ms=60000", patience=0.2).end == "silent"
    wait_until(lambda: target.counts()["behaviours"] == {"client_left": 1}, "the departure is counted")


def test_a_client_that_resets_is_counted_as_gone(target: Target) -> None:
    with target.connect() as line:
        line.sendall(b"GET /slow?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: target.counts()["behaviours"] == {"client_left": 1}, "the departure is counted")


def test_a_client_that_leaves_a_large_answer_is_counted_as_gone(target: Target) -> None:
    with target.connect() as line:
        line.sendall(b"GET /large-data?mb=200 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(1000)
    wait_until(lambda: target.counts()["behaviours"] == {"client_left": 1}, "the departure is counted")


def test_a_large_answer_comes_whole(target: Target) -> None:
    heard = target.hear("/large-data?mb=3")
    assert (len(heard.body), heard.end) == (3_000_000, "closed")
    assert target.counts()["behaviours"] == {"stream": 1}


def test_a_redirect_leads_to_a_redirect_for_ever(target: Target) -> None:
    path = "/redirect-loop"
    for _hop in range(40):
        heard = target.hear(path)
        assert heard.status == 302
        path = heard.headers["location"]
    assert target.counts()["rows"] == [{"path": "/redirect-loop", "behaviour": "redirect", "status": 302, "count": 40}]


def test_a_connection_is_closed_without_an_answer(target: Target) -> None:
    heard = target.hear("/close")
    assert (heard.raw, heard.end) == (b"", "closed")
    assert target.counts()["behaviours"] == {"close": 1}


@pytest.mark.parametrize(
    ("kind", "body"),
    [("json", b'{"success": tru'), ("empty", b""), ("success", b'{"success":false,"error":"wrong, as asked"}')],
)
def test_a_wrong_answer_is_a_200_all_the_same(target: Target, kind: str, body: bytes) -> None:
    heard = target.hear(f"/wrong/{kind}")
    assert (heard.status, heard.body) == (200, body)
    assert target.counts()["behaviours"] == {"wrong": 1}


def test_a_sign_in_page_comes_where_json_was_expected(target: Target) -> None:
    heard = target.hear("/wrong/html")
    assert (heard.status, heard.headers["content-type"]) == (200, "text/html")


def test_echo_gives_back_what_arrived(target: Target) -> None:
    document = target.json("/echo/users/42?token=abc", "PUT", b"hello")
    assert (document["method"], document["target"], document["body"]) == ("PUT", "/echo/users/42?token=abc", "hello")
    assert ["Content-Length", "5"] in document["headers"]


def test_echo_refuses_an_endless_body(target: Target) -> None:
    with target.connect() as line:
        line.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n")
        line.sendall(b"x" * 3_000_000)
        assert listen(line).status == 413
    assert target.counts()["statuses"] == {"413": 1}


def test_a_bad_parameter_is_answered_and_counted(target: Target) -> None:
    heard = target.hear("/slow?ms=soon")
    assert (heard.status, heard.body) == (400, b"ms is 'soon'; expected: a whole number from 0 to 600000\n")
    assert target.counts()["behaviours"] == {"bad_request": 1}


def test_the_front_page_lists_what_there_is(target: Target) -> None:
    heard = target.hear("/")
    assert heard.headers["content-type"] == "text/plain"
    assert b"/redirect-loop" in heard.body


def test_a_connection_is_kept_for_the_next_request(target: Target) -> None:
    with target.connect() as line:
        for _number in range(3):
            line.sendall(b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert target.counts()["requests"] == 3


def test_its_own_paths_are_not_counted_and_a_wrong_one_is_refused(target: Target) -> None:
    assert target.hear("/_mock/health").body == b"ok\n"
    assert target.hear("/_mock/reset").status == 404
    assert target.hear("/_mock/counts", method="POST").status == 404
    assert target.counts()["requests"] == 0


def test_a_share_is_exact_over_many_clients_at_once(target: Target) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _number: target.hear("/status/503?share=0.1").status, range(200)))
    assert (statuses.count(503), statuses.count(200)) == (20, 180)
    assert target.counts()["statuses"] == {"200": 180, "503": 20}


def test_a_reset_of_the_counts_starts_shares_again(target: Target) -> None:
    assert [target.hear("/status/503?share=0.5").status for _number in range(3)] == [200, 503, 200]
    target.reset()
    assert [target.hear("/status/503?share=0.5").status for _number in range(2)] == [200, 503]


def test_what_clients_saw_is_what_was_counted(target: Target) -> None:
    asked = (
        ["/fast"] * 30 + ["/status/500"] * 20 + ["/reset"] * 10 + ["/truncate"] * 10 + ["/api/might-fail?ms=50"] * 20
    )
    with ThreadPoolExecutor(8) as pool:
        ends = [(heard.status, heard.end) for heard in pool.map(target.hear, asked)]
    assert ends.count((None, "reset")) == 10
    assert ends.count((500, "closed")) == 22
    assert target.counts()["behaviours"] == {"ok": 46, "reset": 10, "slow": 2, "status": 22, "truncate": 10}
    assert target.counts()["statuses"] == {"200": 58, "500": 22, "none": 10}


@pytest.mark.parametrize(
    "most_seconds", [60.0, pytest.param(2.0, marks=pytest.mark.long)], ids=["at last", "within two seconds"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_connections_hanging(number: signal.Signals, most_seconds: float) -> None:
    with started() as target:
        assert target.process is not None
        with target.connect() as line, target.connect() as idle:
            line.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            idle.sendall(b"GET /slow?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: target.counts()["hanging_now"] == 1, "it hangs")
            begin = time.monotonic()
            target.process.send_signal(number)
            assert target.process.wait(timeout=60) == 0
            assert time.monotonic() - begin < most_seconds
        assert target.process.stdout is not None
        assert target.process.stdout.read() == "", "it ends without a word"


@on_both
def test_broken_requests_and_handshakes_leave_no_trace_in_the_log(*, tls: bool) -> None:
    with started() as target:
        assert target.process is not None
        port = target.https_port if tls else target.http_port
        assert port is not None
        for rubbish in (b"rubbish\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01\x02", b"\x00" * 100):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
                line.sendall(rubbish)
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with target.connect(tls=tls) as line:
            line.sendall(b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(4096).startswith(b"HTTP/1.1 200 ")
            line.sendall(b"rubbish\r\n\r\n")
            assert listen(line).status == 400
        target.process.send_signal(signal.SIGTERM)
        assert target.process.wait(timeout=10) == 0
        assert target.process.stdout is not None
        assert target.process.stdout.read() == ""


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "mock_target", "--host", "127.0.0.1", "--no-tls"]
        ended = subprocess.run(
            [*command, "--http-port", str(taken.getsockname()[1])],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("mock-target: cannot serve: ")
    assert ended.stderr.count("\n") == 1
