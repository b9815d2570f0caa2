"""The program that is handed into containers, against real sockets of this machine's loopback."""

from __future__ import annotations

import contextlib
import errno
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from sidecar.diagnose.gather import look_around
from sidecar.diagnose.gather.inside import BESIDE, EXEC, Job, command, read_answer
from tests.unit.diagnose.scene import well

GREETING = bytes.fromhex("ff00000000000000017f")


@contextlib.contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does one thing to each connection; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(link,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def greet(link: socket.socket) -> None:
    with link, contextlib.suppress(OSError):
        link.sendall(GREETING)
        while link.recv(1000):
            pass


def keep_silent(link: socket.socket) -> None:
    with link, contextlib.suppress(OSError):
        while link.recv(1000):
            pass


def hang_up(link: socket.socket) -> None:
    link.close()


def speak_http(link: socket.socket) -> None:
    with link, contextlib.suppress(OSError):
        if link.recv(1000):
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_around, "GREETING_SECONDS", 0.3)
    monkeypatch.setattr(look_around, "HTTP_SECONDS", 0.5)


@pytest.mark.parametrize(
    ("talk", "greeting"),
    [(greet, "zmtp"), (keep_silent, "none"), (hang_up, "closed"), (speak_http, "http")],
    ids=["master", "silent", "closed", "web"],
)
def test_who_answers_is_told_by_what_comes_unasked(talk: Callable[[socket.socket], None], greeting: str) -> None:
    with server(talk) as port:
        tried = look_around.try_tcp("127.0.0.1", port)
    assert (tried["outcome"], tried["greeting"]) == ("open", greeting)


def test_nothing_is_sent_to_a_master() -> None:
    received: list[bytes] = []
    done = threading.Event()

    def listen(link: socket.socket) -> None:
        with link:
            link.sendall(GREETING)
            received.append(link.recv(100))
            done.set()

    with server(listen) as port:
        look_around.try_tcp("127.0.0.1", port)
        assert done.wait(5)
    assert received == [b""]


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tried = look_around.try_tcp("127.0.0.1", port)
    assert (tried["outcome"], tried["greeting"]) == ("refused", "")


def test_a_name_that_is_nobodys_has_the_resolvers_words() -> None:
    found = look_around.resolve("nobody.invalid")
    assert found["addresses"] == []
    assert found["error"]


def test_a_job_for_a_name_tries_each_address_once() -> None:
    with server(greet) as port:
        done = look_around.run({"tcp": [["localhost", port], ["127.0.0.1", port]], "deadline": 5})
    assert [one["address"] for one in done["tcp"]].count("127.0.0.1") == 1
    assert {name["name"] for name in done["names"]} == {"localhost", "127.0.0.1"}


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path asks for."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2] or 200))
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield web.server_address[1]
        web.shutdown()


def test_a_request_says_how_far_it_came() -> None:
    with web_server() as port:
        found = look_around.try_http(f"http://127.0.0.1:{port}/503", "")
    assert (found["stage"], found["status"], found["body"]) == ("ok", 503, "hello")


def test_a_request_goes_through_a_proxy_as_an_absolute_url() -> None:
    asked: list[bytes] = []

    def proxy(link: socket.socket) -> None:
        with link:
            asked.append(link.recv(1000))
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with server(proxy) as port:
        found = look_around.try_http("http://shop.invalid/cart", f"http://127.0.0.1:{port}")
    assert (found["stage"], found["status"]) == ("ok", 200)
    assert asked[0].startswith(b"GET http://shop.invalid/cart HTTP/1.1\r\nHost: shop.invalid\r\n")


@pytest.mark.parametrize(
    ("talk", "stage", "error"),
    [
        (keep_silent, "http", "no answer"),
        (hang_up, "http", "closed the connection without an answer|reset by peer|Broken pipe"),
        (greet, "http", "not an HTTP answer"),
    ],
    ids=["silent", "closed", "foreign"],
)
def test_a_server_that_does_not_answer_http_is_told(
    talk: Callable[[socket.socket], None], stage: str, error: str
) -> None:
    with server(talk) as port:
        found = look_around.try_http(f"http://127.0.0.1:{port}/", "")
    assert found["stage"] == stage
    assert re.search(error, found["error"])


def test_https_to_a_server_without_tls_fails_in_the_handshake() -> None:
    with web_server() as port:
        found = look_around.try_http(f"https://127.0.0.1:{port}/", "")
    assert found["stage"] == "tls"
    assert found["error"].startswith("tls: ")


@pytest.mark.parametrize("url", ["http://", "http://x:99999/", "no url at all"])
def test_a_url_that_is_none_is_no_crash(url: str) -> None:
    found = look_around.try_http(url, "")
    assert found["stage"] == "name"
    assert found["error"]


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.EINVAL])
def test_what_a_route_or_a_rule_says_to_a_connection_is_unreachable(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no way")

    monkeypatch.setattr("socket.create_connection", refuse)
    assert look_around.connect("10.0.0.1", 5557) == (None, "unreachable", "no way")


def test_the_program_runs_alone_and_ends_by_its_deadline() -> None:
    with server(greet) as port, server(keep_silent) as silent:
        words = command(Job(tcp=(("127.0.0.1", port), ("127.0.0.1", silent))), 1.0, sys.executable)
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    found = json.loads(done.stdout)
    assert [one["greeting"] for one in found["tcp"]] == ["zmtp"]
    assert {"address": "127.0.0.1", "port": port} in found["listening"]
    assert found["inside"]["filesystems"]
    assert sum(map(len, words)) < 10000  # Docker repeats it in three events
    assert not any("\n" in word for word in words)


def test_an_answer_is_read_as_facts_and_what_it_leaves_out_is_empty() -> None:
    container = well().containers[1]
    with server(greet) as port:
        urls = [{"url": f"http://127.0.0.1:{port}/", "proxy": ""}]
        job = {"tcp": [["127.0.0.1", port]], "names": ["localhost"], "http": urls, "inside": True, "deadline": 5}
        probe = read_answer(look_around.run(job), container, EXEC)
    assert (probe.container, probe.way) == (container.name, EXEC)
    assert {(attempt.outcome, attempt.greeting) for attempt in probe.tcp} == {("open", "zmtp")}
    assert "localhost" in {name.name for name in probe.names}
    assert probe.http[0].outcome == "open"
    assert probe.inside
    assert {filesystem.owner for filesystem in probe.inside.filesystems} == {container.name}
    bare = read_answer({"tcp": [], "names": [], "http": [], "listening": []}, container, BESIDE)
    assert (bare.inside, bare.listening, bare.routes) == (None, (), ())


def test_own_limits_are_read_of_the_locust_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_around, "locust_process", os.getpid)
    found = look_around.inside()
    assert found["process_state"] in ("R", "S")
    assert found["nofile"] > 0
    assert found["open_files"] > 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["/opt/venv/bin/python3", "/opt/venv/bin/locust", "--worker"], 7),
        (["python3", "-I", "-S", "/opt/locust-kit/entrypoint.py"], 7),
        (["/sbin/docker-init", "--", "/opt/venv/bin/locust"], None),
        (["python3", "server.py"], None),
    ],
)
def test_the_locust_process_is_found_by_its_words(
    words: list[str], found: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "listdir", lambda _: ["7"])
    monkeypatch.setattr(look_around, "command_of", lambda _: words)
    assert look_around.locust_process() == found


def test_addresses_of_the_kernels_tables_are_read_in_its_byte_order() -> None:
    assert look_around.dotted("0100007F" if sys.byteorder == "little" else "7F000001", socket.AF_INET) == "127.0.0.1"
