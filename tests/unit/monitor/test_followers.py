"""Followers against an engine that is none, over a real unix socket: what is asked, kept, and said."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sidecar.engine.container_reader import monitor_engine
from sidecar.model.history import LogCursor, LogPosition, StoredLine
from sidecar.monitor.follower import LogSource
from sidecar.monitor.followers import Followers
from tests.fakes.log_samples import BASE_NS, END, HEAD, chunk, frame

ID = "ab" * 32
DEADLINE_SECONDS = 60.0
TARGET = LogSource("web-1", "web", "shop", started_at=datetime.fromtimestamp(BASE_NS // 10**9 - 3600, UTC))


def eventually(wanted: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not wanted():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


class Store:
    """Keeps lines and cursors as the ledger would."""

    def __init__(self, cursors: Mapping[str, LogCursor] | None = None) -> None:
        self.lines: list[StoredLine] = []
        self.kept = dict(cursors or {})

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor]) -> None:
        self.lines.extend(lines)
        self.kept.update(cursors)

    def cursors(self) -> Mapping[str, LogCursor]:
        return dict(self.kept)

    def texts(self) -> list[str]:
        return [line.text for line in self.lines]


class PretendLogs:
    """Answers each GET of a log with the next of `answers`; a stream not ended by END stays open until `cut`."""

    def __init__(self, path: Path, answers: Sequence[bytes]) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self._answers = list(answers)
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.url = f"unix://{path}"
        threading.Thread(target=self._serve, daemon=True).start()

    def send(self, data: bytes) -> None:
        self._open[-1].sendall(data)

    def cut(self) -> None:
        for link in self._open:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self._open.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(link)
            with suppress(OSError):  # closed meanwhile
                self._answer(link)

    def _answer(self, link: socket.socket) -> None:
        request = link.recv(4096).decode()
        if request:
            self.asked.append(parse_qs(urlsplit(request.split(" ")[1]).query))
            link.sendall(self._answers.pop(0) if self._answers else HEAD)


@contextmanager
def following(
    answers: Sequence[bytes], store: Store, target: LogSource = TARGET
) -> Iterator[tuple[PretendLogs, Followers]]:
    with tempfile.TemporaryDirectory(prefix="kit") as folder:
        engine = PretendLogs(Path(folder) / "s", answers)
        followers = Followers(monitor_engine(engine.url, api_version="1.44"), store, now_ns=lambda: BASE_NS)
        followers.set_targets({ID: target})
        followers.start()
        try:
            yield engine, followers
        finally:
            followers.stop()
            engine.close()


def test_lines_are_kept_with_their_owner_and_the_cursor() -> None:
    store = Store()
    with following([HEAD + chunk(frame(BASE_NS, b"\x1b[1mhello\n", stream=2))], store) as (_, followers):
        eventually(lambda: store.lines, "a line kept")
        assert store.lines == [StoredLine(BASE_NS, ID, "hello", "web-1", "shop", "web", stream=2)]
        assert store.kept == {ID: LogCursor({"2": LogPosition(BASE_NS, 1)})}
        assert [entry.text for entry in followers.recent(ID, 5)] == ["hello"]
        assert followers.recent(ID, 0) == ()


def test_a_cut_connection_is_taken_up_again_without_loss_or_repetition() -> None:
    store, one, two = Store(), frame(BASE_NS, b"one\n"), frame(BASE_NS + 1, b"two\n")
    answers = [HEAD + chunk(one) + chunk(two)[:20], HEAD + chunk(one) + chunk(two)]
    with following(answers, store) as (engine, _):
        eventually(lambda: store.texts() == ["one"], "the whole line kept, the half one not")
        engine.cut()
        eventually(lambda: len(store.lines) > 1, "the second line")
        assert store.texts() == ["one", "two"]
        assert engine.asked[1]["since"] == ["1795000000.000000000"]


def test_after_the_containers_end_its_log_is_opened_again_when_it_runs_again() -> None:
    store, first = Store(), frame(BASE_NS, b"first life\n")
    answers = [
        HEAD + chunk(first) + END,
        HEAD + chunk(first) + END,
        HEAD + chunk(first + frame(BASE_NS + 9, b"second\n")),
    ]
    stopped = LogSource(TARGET.name, TARGET.service, TARGET.project, started_at=TARGET.started_at, running=False)
    with following(answers, store, stopped) as (engine, followers):
        eventually(lambda: len(engine.asked) == 2, "a second look for what was written last")
        followers.started(ID)
        eventually(lambda: len(store.lines) == 2, "the second life")
        assert store.texts() == ["first life", "second"]


def test_a_sidecar_that_comes_back_goes_on_from_the_ledgers_cursor() -> None:
    seen, news = frame(BASE_NS, b"seen\n"), frame(BASE_NS, b"same nanosecond\n")
    store = Store({ID: LogCursor({"1": LogPosition(BASE_NS, 1)})})
    with following([HEAD + chunk(seen + news)], store) as (engine, _):
        eventually(lambda: store.lines, "the news")
        assert store.texts() == ["same nanosecond"]
        assert "tail" not in engine.asked[0]


def test_the_log_of_an_old_container_is_first_read_from_near_its_end() -> None:
    with following([HEAD], Store()) as (engine, _):
        eventually(lambda: engine.asked, "the question")
        assert (engine.asked[0]["tail"], engine.asked[0]["timestamps"]) == (["1000"], ["1"])
        assert "since" not in engine.asked[0]


def test_a_container_that_is_gone_leaves_its_last_lines_and_is_asked_for_no_more() -> None:
    store = Store()
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
    with following([HEAD + chunk(frame(BASE_NS, b"bye\n")) + END, gone], store) as (engine, followers):
        eventually(lambda: len(engine.asked) == 2, "the second question")
        followers.set_targets({})
        eventually(lambda: not followers._followers, "the targets applied")
        assert [entry.text for entry in followers.recent(ID, 3)] == ["bye"]
        assert followers.unread() == ()


def test_a_log_that_the_engine_refuses_is_said_and_disturbs_no_other() -> None:
    refusal = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 18\r\n\r\ndriver cannot read"
    with following([refusal], Store()) as (_, followers):
        eventually(followers.unread, "the reason")
        (sentence,) = followers.unread()
        assert sentence.startswith("the log of web-1 cannot be followed: ")
        assert "status 501: driver cannot read" in sentence


def test_what_befalls_all_logs_is_one_sentence() -> None:
    with following([], Store()) as (engine, followers):
        engine.close()
        followers.set_targets({letter * 64: TARGET for letter in "abc"})
        said = ["the logs of 3 containers cannot be followed: a log cannot be read: Connection refused"]
        eventually(lambda: list(followers.unread()) == said, f"{said}, but {followers.unread()}")


@pytest.mark.parametrize("nonsense", [b"SSH-2.0\r\n\r\n", HEAD + b"zz\r\n", HEAD + chunk(b"\xff" * 40)])
def test_nonsense_instead_of_a_log_is_survived(nonsense: bytes) -> None:
    store = Store()
    with following([nonsense, HEAD + chunk(frame(BASE_NS, b"well again\n"))], store):
        eventually(lambda: store.lines, "the log, at the second attempt")
        assert store.texts() == ["well again"]


def test_a_flood_is_capped_and_said_even_when_nothing_comes_after_it() -> None:
    store = Store()
    flood = b"".join(frame(BASE_NS + number, b"%d\n" % number) for number in range(500))
    with following([HEAD + chunk(flood)], store):
        eventually(lambda: store.lines and store.lines[-1].stream == 0, "the notice")
        assert len(store.lines) == 201
        assert store.lines[-1].text.startswith("… 300 lines left out")
        assert store.kept[ID].marks["1"].ns == BASE_NS + 499


def test_far_behind_a_flood_the_present_is_read_instead() -> None:
    store, old = Store(), BASE_NS - 11 * 10**9
    flood = b"".join(frame(old + number, b"old\n") for number in range(300))
    with following([HEAD + chunk(flood), HEAD + chunk(frame(BASE_NS, b"present\n"))], store) as (engine, _):
        eventually(lambda: "present" in store.texts(), "the present")
        assert engine.asked[1]["tail"] == ["1000"]
        assert store.texts()[-2].startswith("… at least 100 lines left out")


def test_a_new_start_opens_a_log_anew_that_did_not_end_with_the_old_one() -> None:
    store = Store()
    with following([HEAD, HEAD + chunk(frame(BASE_NS + 9, b"second life\n"))], store) as (engine, followers):
        eventually(lambda: engine.asked, "the first reading")
        restarted = datetime.fromtimestamp(BASE_NS / 1e9 + 60, UTC)
        followers.set_targets({ID: LogSource("web-1", "web", "shop", started_at=restarted)})
        eventually(lambda: store.lines, "the second life")


def test_stopping_does_not_wait_for_a_quiet_log() -> None:
    with following([HEAD], Store()) as (engine, followers):
        eventually(lambda: engine.asked, "the log is open")
        followers.stop()
        assert not followers._thread.is_alive()
