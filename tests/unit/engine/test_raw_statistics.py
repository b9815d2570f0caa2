"""Short questions over one kept-alive connection, held against servers that answer in every odd way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from sidecar.engine.raw_statistics import UnixGet

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Script:
    """A server that plays answers: a list a connection, which it closes after its last answer."""

    def __init__(self, path: Path, connections: Sequence[Sequence[bytes]]) -> None:
        self.asked: list[list[str]] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self.thread = threading.Thread(target=self._play, args=(connections,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes a server that waits for a connection
        self.thread.join(timeout=5)

    def _play(self, connections: Sequence[Sequence[bytes]]) -> None:
        with suppress(OSError), self._listener:  # a client may leave at any time
            for answers in connections:
                link, _ = self._listener.accept()
                self.asked.append([])
                with link:
                    for answer in answers:
                        question = link.recv(65536).decode()
                        self.asked[-1].extend(question.split(" ")[1:2])
                        link.sendall(answer)


@contextmanager
def asking(path: Path, *connections: Sequence[bytes], seconds: float = 5.0) -> Iterator[tuple[UnixGet, Script]]:
    script = Script(path / "s", connections)
    with closing(script), closing(UnixGet(str(path / "s"), seconds)) as link:
        yield link, script


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED])
def test_several_questions_share_one_connection(tmp_path: Path, answer: bytes) -> None:
    with asking(tmp_path, [answer, EMPTY, answer]) as (link, script):
        assert [link.get(f"/{number}") for number in range(3)] == [(200, b"hello"), (404, b""), (200, b"hello")]
    assert script.asked == [["/0", "/1", "/2"]]


def test_a_question_is_asked_again_when_the_idle_connection_was_closed(tmp_path: Path) -> None:
    with asking(tmp_path, [PLAIN], [PLAIN]) as (link, script):
        assert [link.get("/0"), link.get("/1")] == [(200, b"hello")] * 2
        script.thread.join(timeout=5)
    assert script.asked == [["/0"], ["/1"]]


def test_a_question_is_asked_again_when_the_connection_is_closed_upon_it(tmp_path: Path) -> None:
    with asking(tmp_path, [PLAIN, b""], [PLAIN]) as (link, script):
        assert [link.get("/0"), link.get("/1")] == [(200, b"hello")] * 2
    assert script.asked == [["/0", "/1"], ["/1"]]


def test_an_answer_without_length_ends_with_its_connection(tmp_path: Path) -> None:
    with asking(tmp_path, [b"HTTP/1.0 200 OK\r\n\r\nall of it"], [PLAIN]) as (link, _):
        assert [link.get("/0"), link.get("/1")] == [(200, b"all of it"), (200, b"hello")]


def test_a_connection_that_is_said_to_close_is_not_used_again(tmp_path: Path) -> None:
    last = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with asking(tmp_path, [last, PLAIN], [EMPTY]) as (link, script):
        assert link.get("/0") == (200, b"hello")
        assert link._socket is None
    assert script.asked == [["/0"]]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (PLAIN[:-2], "in the middle of an answer"),
        (CHUNKED[:-9], "in the middle of an answer"),
        (PLAIN[:20], "in the middle of an answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "begins with"),
        (b"", "without an answer"),
    ],
    ids=["body", "chunk", "header", "other protocol", "nothing"],
)
def test_what_is_no_whole_answer_is_an_error_and_the_next_question_is_on_a_new_connection(
    tmp_path: Path, answer: bytes, why: str
) -> None:
    with asking(tmp_path, [answer], [PLAIN]) as (link, _):
        with pytest.raises(OSError, match=why):
            link.get("/0")
        assert link.get("/1") == (200, b"hello")


def test_a_silent_engine_is_given_up(tmp_path: Path) -> None:
    with asking(tmp_path, [b"", b""], seconds=0.05) as (link, _), pytest.raises(TimeoutError):
        link.get("/0")


def test_an_engine_that_is_not_there_is_an_error_each_time(tmp_path: Path) -> None:
    with closing(UnixGet(str(tmp_path / "none"), 1.0)) as link:
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                link.get("/0")
