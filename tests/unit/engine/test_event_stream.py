"""The event stream against a pretend engine: what it brings, and what it says of every gap."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.events import EventStream
from sidecar.model.signal import DockerEvent, StreamDown, StreamUp
from tests.unit.engine.heard import Heard, eventually
from tests.unit.engine.pretend_events import SECOND, PretendEvents

Start = Callable[..., EventStream]


class AskedOften(DockerEngine):
    """Counts how often it is tried."""

    tries = 0

    def api_version(self) -> str:
        self.tries += 1
        return super().api_version()


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket's path may not be long."""
    with tempfile.TemporaryDirectory(prefix="kit") as folder:
        yield Path(folder) / "s"


@pytest.fixture
def engine(path: Path) -> Iterator[PretendEvents]:
    server = PretendEvents(path)
    yield server
    server.close()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def start(path: Path, heard: Heard) -> Iterator[Start]:
    with ExitStack() as running:

        def started(
            since_ns: int | None = None, probe_seconds: float = 60.0, timeout_seconds: float = 5.0
        ) -> EventStream:
            stream = EventStream(
                DockerEngine(path, api_version="1.45"),
                since_ns=since_ns,
                put=heard.put,
                now_ns=time.time_ns,
                probe_seconds=probe_seconds,
                timeout_seconds=timeout_seconds,
            )
            running.callback(stream.stop)
            stream.start()
            return stream

        yield started


def test_events_come_as_they_happen(engine: PretendEvents, start: Start, heard: Heard) -> None:
    start()
    heard.wait_for(StreamUp)
    engine.happen("oom", 11)
    engine.happen("die", 12, exitCode="137")
    assert [(event.action, event.ns) for event in heard.wait_for(DockerEvent, 2)] == [("oom", 11), ("die", 12)]


def test_the_first_start_asks_for_no_replay_and_misses_nothing(
    engine: PretendEvents, start: Start, heard: Heard
) -> None:
    engine.happen("die", time.time_ns())
    start()
    (up,) = heard.wait_for(StreamUp)
    assert (up.since_ns, up.covered) == (None, True)
    assert "since" not in engine.streams_asked()[0]


def test_only_the_verbs_that_matter_are_asked_for(engine: PretendEvents, start: Start, heard: Heard) -> None:
    start()
    heard.wait_for(StreamUp)
    filters = engine.streams_asked()[0]["filters"]
    assert '"oom"' in filters
    assert "exec" not in filters


def test_a_cut_stream_is_said_once_and_resumed_from_the_last_event(
    engine: PretendEvents, start: Start, heard: Heard
) -> None:
    start()
    heard.wait_for(StreamUp)
    last = time.time_ns()
    engine.happen("start", last)
    heard.wait_for(DockerEvent)
    engine.hang_up()
    engine.happen("die", last + 1)
    up = heard.wait_for(StreamUp, 2)[1]
    # The overlap may bring the first event a second time, before the new one.
    eventually(lambda: heard.of(DockerEvent)[-1].ns == last + 1)
    assert [down.why for down in heard.of(StreamDown)] == ["the stream ended"]
    assert up.covered
    assert up.since_ns == last - SECOND  # events may be published a little out of order


def test_an_engine_that_is_down_is_said_once_until_it_is_back(path: Path, heard: Heard) -> None:
    engine = AskedOften(path, api_version="1.45")
    stream = EventStream(engine, since_ns=None, put=heard.put, now_ns=time.time_ns)
    stream.start()
    eventually(lambda: engine.tries >= 3)
    server = PretendEvents(path)
    heard.wait_for(StreamUp)
    stream.stop()
    server.close()
    (down,) = heard.of(StreamDown)
    assert down.why


def test_a_refusal_is_a_disconnect_that_says_why(engine: PretendEvents, start: Start, heard: Heard) -> None:
    engine.refusing = True
    start()
    (down,) = heard.wait_for(StreamDown)
    assert "500" in down.why
    engine.refusing = False
    heard.wait_for(StreamUp)


def test_a_gap_that_the_engines_memory_reaches_over_is_covered(
    engine: PretendEvents, start: Start, heard: Heard
) -> None:
    known = time.time_ns() - 60 * SECOND
    engine.happen("exec_die: probe", known)
    for number in range(255):
        engine.happen("exec_start: probe", known + 1 + number)
    start(since_ns=known)
    assert heard.wait_for(StreamUp)[0].covered


def test_a_gap_beyond_the_engines_memory_is_not_covered(engine: PretendEvents, start: Start, heard: Heard) -> None:
    known = time.time_ns() - 60 * SECOND
    engine.happen("start", known)
    for number in range(256):
        engine.happen("exec_start: probe", known + 1 + number)
    start(since_ns=known)
    assert not heard.wait_for(StreamUp)[0].covered


def test_a_daemon_that_was_restarted_remembers_nothing_and_covers_nothing(
    path: Path, start: Start, heard: Heard
) -> None:
    before = PretendEvents(path)
    start()
    heard.wait_for(StreamUp)
    before.happen("start", time.time_ns())
    heard.wait_for(DockerEvent)
    before.close()
    after = PretendEvents(path)
    after.happen("start", time.time_ns())
    up = heard.wait_for(StreamUp, 2)[1]
    after.close()
    assert not up.covered


def test_a_proxy_that_was_restarted_loses_nothing(path: Path, start: Start, heard: Heard) -> None:
    before = PretendEvents(path)
    start()
    heard.wait_for(StreamUp)
    now = time.time_ns()
    before.happen("start", now)
    heard.wait_for(DockerEvent)
    before.close()
    before.happen("oom", now + 1)
    after = PretendEvents(path, before.ring)
    up = heard.wait_for(StreamUp, 2)[1]
    eventually(lambda: any(event.action == "oom" for event in heard.of(DockerEvent)))
    after.close()
    assert up.covered


def test_a_stream_behind_a_hung_proxy_is_given_up(engine: PretendEvents, start: Start, heard: Heard) -> None:
    start(probe_seconds=0.02, timeout_seconds=0.2)
    heard.wait_for(StreamUp)
    engine.hung.set()
    assert "does not answer" in heard.wait_for(StreamDown)[0].why


def test_an_event_that_the_stream_left_out_is_fetched(engine: PretendEvents, start: Start, heard: Heard) -> None:
    engine.happen("start", time.time_ns())
    start(probe_seconds=0.02)
    heard.wait_for(StreamUp)
    eventually(lambda: len(engine.asked) > 2)
    now = time.time_ns()
    engine.happen("die", now + 3600 * SECOND)
    engine.happen("oom", now, dropped=True)
    eventually(lambda: any(event.action == "oom" for event in heard.of(DockerEvent)))
    assert heard.of(StreamUp)[-1].covered
    assert "left out 1" in heard.of(StreamDown)[0].why


@pytest.mark.usefixtures("engine")
def test_a_quiet_stream_is_known_to_be_alive(start: Start, heard: Heard) -> None:
    stream = start(probe_seconds=0.02)
    heard.wait_for(StreamUp)
    before = time.time_ns()
    eventually(lambda: stream.alive_ns() > before)
    assert len(heard.of(StreamUp)) == 1
    assert not heard.of(StreamDown)


def test_a_dead_engine_leaves_alive_where_it_was(engine: PretendEvents, start: Start, heard: Heard) -> None:
    stream = start(probe_seconds=0.02, timeout_seconds=0.2)
    heard.wait_for(StreamUp)
    engine.refusing = True
    engine.hang_up()
    (down,) = heard.wait_for(StreamDown)
    asked = len(engine.asked)
    eventually(lambda: len(engine.asked) > asked + 1)
    assert stream.alive_ns() == down.at_ns


def test_lines_that_are_no_events_do_not_end_the_stream(engine: PretendEvents, start: Start, heard: Heard) -> None:
    start()
    heard.wait_for(StreamUp)
    engine.happen("die", 11, label="x" * (2 << 20))
    engine.happen("odd", 12)
    engine.happen("die", 13)
    assert [event.ns for event in heard.wait_for(DockerEvent)] == [13]


@pytest.mark.usefixtures("engine")
def test_a_quiet_stream_stops_when_told_to(start: Start, heard: Heard) -> None:
    stream = start()
    heard.wait_for(StreamUp)
    stream.stop()
    assert not any(thread.is_alive() for thread in stream._threads)
    assert not heard.of(StreamDown)


def test_after_a_clock_was_set_back_all_that_is_remembered_is_read_again_and_a_gap_is_said(
    engine: PretendEvents, start: Start, heard: Heard
) -> None:
    now_ns = time.time_ns()
    engine.happen("die", now_ns - 60 * SECOND)
    start(since_ns=now_ns + 3600 * SECOND)
    (up,) = heard.wait_for(StreamUp)
    assert not up.covered
    assert [event.ns for event in heard.wait_for(DockerEvent)] == [now_ns - 60 * SECOND]


def test_an_answer_that_never_gets_to_its_end_of_header_is_given_up(path: Path, start: Start, heard: Heard) -> None:
    def drip(link: socket.socket) -> None:
        with suppress(OSError):
            link.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                link.sendall(b"a")
                time.sleep(0.05)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        start(timeout_seconds=0.3)
        link, _ = listener.accept()
        threading.Thread(target=drip, args=(link,), daemon=True).start()
        (down,) = heard.wait_for(StreamDown)
        link.close()
    assert "no complete answer in time" in down.why
