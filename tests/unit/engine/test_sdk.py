"""The client on the Docker SDK, held against engines that answer in ways that the SDK itself does not survive."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from sidecar.common.errors import EngineError
from sidecar.engine.docker_engine import DockerEngine, EngineSilentError, EngineStream
from sidecar.engine.transport import RefusedError
from tests.unit.engine.test_raw_statistics import PLAIN, Script

OBJECT = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"Id":"x"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def asking(path: Path, seconds: float = 5.0) -> DockerEngine:
    return DockerEngine(path, seconds, api_version="1.44")


@contextmanager
def answered(path: Path, *connections: list[bytes]) -> Iterator[tuple[DockerEngine, Script]]:
    script = Script(path, connections)
    with closing(script), closing(asking(path)) as engine:
        yield engine, script


def test_a_question_is_asked_again_when_the_idle_connection_is_closed_upon_it(path: Path) -> None:
    with answered(path, [OBJECT, b""], [OBJECT]) as (engine, script):
        assert [engine.inspect("a"), engine.inspect("b")] == [{"Id": "x"}] * 2
        assert script.asked == [["/v1.44/containers/a/json", "/v1.44/containers/b/json"], ["/v1.44/containers/b/json"]]


def test_what_acts_is_never_asked_twice(path: Path) -> None:
    with answered(path, [OBJECT, b""], [PLAIN]) as (engine, script):
        engine.inspect("a")
        with pytest.raises(EngineError):
            engine.restart("a", 5)
        assert len(script.asked) == 1


def test_a_redirect_is_not_followed(path: Path) -> None:
    moved = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    with answered(path, [moved]) as (engine, script):
        with pytest.raises(RefusedError, match="status 301"):
            engine.inspect("a")
        assert script.asked == [["/v1.44/containers/a/json"]]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cut off"),
        (OBJECT[:-2], "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", "expected: an object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{x}", "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000, "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b" " * (2 << 20), "more than 1 MiB"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\n[1,2]", r"status 500: \[1,2\]"),
    ],
    ids=["other protocol", "half", "list", "no JSON", "deep", "long", "odd refusal"],
)
def test_an_odd_answer_is_an_error_that_says_what_is_odd(path: Path, answer: bytes, why: str) -> None:
    with answered(path, [answer]) as (engine, _), pytest.raises(EngineError, match=why):
        engine.inspect("a")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_an_answer_in_drops_is_given_up(path: Path, head: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_drip, args=(listener, head), daemon=True).start()
        began = time.monotonic()
        with closing(asking(path, 0.3)) as engine, pytest.raises(EngineSilentError):
            engine.inspect("a")
        assert time.monotonic() - began < 5


def _drip(listener: socket.socket, head: bytes) -> None:
    with suppress(OSError):
        link, _ = listener.accept()
        with link:
            link.sendall(head)
            while True:
                link.sendall(b"a")
                time.sleep(0.05)


@pytest.mark.parametrize("what", ["call", "stream"])
def test_a_wait_is_ended_at_once_from_another_thread(path: Path, what: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with closing(asking(path, 60)) as engine:
            stream = EngineStream(engine, "events", "/events", {})
            threading.Timer(0.2, engine.cut if what == "call" else stream.cut).start()
            began = time.monotonic()
            with pytest.raises((EngineError, OSError)):
                engine.inspect("a") if what == "call" else stream.open()
            with pytest.raises((EngineError, OSError)):
                engine.inspect("a") if what == "call" else stream.open()
            stream.close()
        assert time.monotonic() - began < 10


def test_a_broken_client_configuration_is_none_of_our_business(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("[1]")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with answered(path, [OBJECT]) as (engine, _):
        assert engine.inspect("a") == {"Id": "x"}
