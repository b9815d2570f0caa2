"""Real logs of the real engine: each line once, over restarts of container, follower and connection."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sidecar.common.times import docker_time
from sidecar.engine.container_reader import monitor_engine
from sidecar.ledger.history import History
from sidecar.model.history import LogQuery
from sidecar.monitor.follower import LogSource
from sidecar.monitor.followers import Followers
from tests.integration._containers import ENGINE_SOCKET, container, engine_absent, need_image, run_docker

pytestmark = pytest.mark.skipif(bool(engine_absent()), reason=engine_absent() or "an engine is here")

IMAGE = "locust-kit/locust:local"
LIVES, LINES_PER_LIFE = 7, 120
DEADLINE_SECONDS = 120.0
# Each life goes on counting where the one before crashed; every 40th line is longer than the engine's parts.
COUNTER = f"""
import os, sys, time
path = "/state/n"
n = int(open(path).read()) if os.path.exists(path) else 0
for _ in range({LINES_PER_LIFE}):
    n += 1
    tail = " " + "y" * 50000 if n % 40 == 0 else ""
    os.write(1 + n % 2, f"number {{n}}{{tail}}\\n".encode())
    with open(path, "w") as file:
        file.write(str(n))
    time.sleep(0.006)
os.write(1, b"last words without an end")
sys.exit(1 if n < {LIVES * LINES_PER_LIFE} else 0)
"""
HOSTILE = r"""
import os, time
os.write(1, b"M" * 1048576)
os.write(1, b"\n\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\n")
os.write(1, b"\xff\xfe\xc3\x28 bytes\n" + b"\x00nul\x00s\n" + "\u202eover\u2066\n".encode())
os.write(2, b"[link=http://x]markup[/link] <script>\n")
time.sleep(60)
"""


class Cutter:
    """A way to the engine that can be cut."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder / 's'}"
        self._links: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "s"))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        for link in list(self._links):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for pump in self._pumps:
            pump.join()
        for link in self._links:
            link.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(ENGINE_SOCKET)
            self._links += [near, far]
            for source, sink in ((near, far), (far, near)):
                self._pumps.append(threading.Thread(target=_pump, args=(source, sink), daemon=True))
                self._pumps[-1].start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(777):  # an odd size, so that cuts fall anywhere
            sink.sendall(data)
    for link in (source, sink):
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutter() -> Iterator[Cutter]:
    with tempfile.TemporaryDirectory(prefix="kit") as folder:
        made = Cutter(Path(folder))
        try:
            yield made
        finally:
            made.close()


def look(container_id: str) -> tuple[LogSource, str]:
    state: dict[str, Any] = json.loads(run_docker("inspect", "--format", "{{json .State}}", container_id))
    started = docker_time(state["StartedAt"])
    target = LogSource("counter-1", "counter", "shop", started_at=started, running=state["Status"] == "running")
    return target, state["Status"]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kit-ledger") as name:
        yield Path(name)


def test_every_line_once_over_restarts_of_container_follower_and_connection(folder: Path) -> None:
    options = ("--restart", "on-failure", "--user", "0", "--volume", "/state", "--entrypoint", "python3")
    with cutter() as way, container(need_image(IMAGE), *options, command=("-c", COUNTER)) as container_id:
        deadline, status, turn = time.monotonic() + DEADLINE_SECONDS, "", 0
        while status != "exited":
            assert time.monotonic() < deadline, f"the counter did not come to its end: {status}"
            history = History(folder, now)
            history.start()
            followers = Followers(monitor_engine(way.url), history)
            followers.start()
            for _ in range(5):  # then the sidecar is gone for a while, and comes back to its ledger
                target, status = look(container_id)
                followers.set_targets({container_id: target})
                turn += 1
                time.sleep(0.4)
                if turn % 3 == 0:
                    way.cut()
            followers.stop()
            history.close()
        found = last_look(way, folder, container_id)
    numbers = Counter(int(text.split()[1]) for text in found if text.startswith("number "))
    assert {number: times for number, times in numbers.items() if times != 1} == {}
    assert sorted(numbers) == list(range(1, LIVES * LINES_PER_LIFE + 1))
    assert found.count("last words without an end") == LIVES
    long_lines = [text for text in found if "bytes)" in text]
    assert len(long_lines) == LIVES * LINES_PER_LIFE // 40


def last_look(way: Cutter, folder: Path, container_id: str) -> list[str]:
    """Follow once more, over an uncut connection, until nothing comes; then read everything that was kept."""
    history = History(folder, now)
    history.start()
    followers = Followers(monitor_engine(way.url), history)
    followers.start()
    followers.set_targets({container_id: look(container_id)[0]})
    last = f"number {LIVES * LINES_PER_LIFE}"
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        lines = [line.text for line in history.search(LogQuery(limit=100_000))]
        if any(text.startswith(last) for text in lines) and "last words" in lines[0] + lines[1]:
            break
        assert time.monotonic() < deadline, f"the last line never came; the newest: {lines[:2]}"
        time.sleep(0.2)
    followers.stop()
    history.close()
    return lines


def test_hostile_lines_are_kept_harmless(folder: Path) -> None:
    with container(need_image(IMAGE), "--entrypoint", "python3", command=("-c", HOSTILE)) as container_id:
        history = History(folder, now)
        history.start()
        followers = Followers(monitor_engine(f"unix://{ENGINE_SOCKET}"), history)
        followers.start()
        followers.set_targets({container_id: look(container_id)[0]})
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(followers.recent(container_id, 10)) < 6:
            assert time.monotonic() < deadline, f"only {followers.recent(container_id, 10)}"
            time.sleep(0.1)
        followers.stop()
        history.close()
        texts = sorted(entry.text for entry in followers.recent(container_id, 10))
    assert all(text.isprintable() for text in texts)
    assert [len(text) for text in texts if text.startswith("MMM")] == [1000]
    assert texts[1:] == ["[link=http://x]markup[/link] <script>", "nuls", "over", "red", "\ufffd\ufffd\ufffd( bytes"]
