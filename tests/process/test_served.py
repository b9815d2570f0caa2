"""The sidecar and the view as real processes: HTTP, streams, terminal, signals. The engine behind them is pretended."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from fcntl import ioctl
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sidecar.client.reader import MonitorError, SidecarReader, first_snapshot
from sidecar.serve.app import MOST_STREAMS
from tests.fakes.pretend_engine import PretendEngine
from tests.paths import ROOT
from tests.ports import free_port

DEADLINE_SECONDS = 80.0
PROJECT, RIGHT = "pretended", "sesame"

T = TypeVar("T")


def until(ask: Callable[[], T | None], what: str) -> T:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if (found := ask()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Sidecar:
    """A served sidecar on a port of its own."""

    def __init__(self, engine: PretendEngine, port: int, interval: str = "0.5", **environment: str) -> None:
        self.port = port
        environ = {
            "PATH": os.environ["PATH"], "PROJECT": PROJECT, "DOCKER_HOST": engine.url, "INTERVAL": interval,
            "LOCUST_URL": f"http://127.0.0.1:{free_port()}", "LISTEN": f"127.0.0.1:{port}",
            **environment,
        }  # fmt: skip
        command = [sys.executable, "-m", "sidecar.cli", "serve"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
        until(self._ready, "the sidecar")

    def _ready(self) -> bool | None:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return self.get("/healthz")[0] in (http.client.OK, http.client.UNAUTHORIZED) or None
        except OSError:
            return None

    def get(
        self, path: str, host: str = "127.0.0.1", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, headers={"Host": host, **headers})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def stop(self) -> tuple[int, float, str]:
        """Send SIGTERM; return the exit code, the seconds that it took, and what it said."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        assert "Traceback" not in errors
        return self.process.returncode, time.monotonic() - started, errors


@pytest.fixture(scope="module")
def engine() -> Iterator[PretendEngine]:
    with tempfile.TemporaryDirectory(prefix="kit") as folder:
        server = PretendEngine(Path(folder) / "s", PROJECT)
        yield server
        server.close()


@pytest.fixture(scope="module")
def sidecar(engine: PretendEngine) -> Iterator[Sidecar]:
    made = Sidecar(engine, free_port())
    yield made
    assert made.stop()[0] == 0


def test_the_snapshot_is_served_as_json(sidecar: Sidecar) -> None:
    status, headers, body = sidecar.get("/api/snapshot")
    assert status == 200
    assert headers["content-type"] == "application/json"
    value = json.loads(body)
    assert value["project"] == PROJECT
    assert [container["service"] for container in value["containers"]] == ["locust-master", "locust-worker"]
    assert value["stale"] is False


def test_figures_arrive_from_the_second_round_on(sidecar: Sidecar) -> None:
    def share() -> float | None:
        found: float | None = json.loads(sidecar.get("/api/snapshot")[2])["containers"][0]["cpu_percent"]
        return found

    assert until(share, "a processor share") == pytest.approx(50.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "[::1]:8090", "monitor:8090", "LOCALHOST"])
def test_the_machine_itself_may_ask(sidecar: Sidecar, host: str) -> None:
    assert sidecar.get("/api/snapshot", host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "www.localhost", "0.0.0.0", "x:8090", ""])
def test_a_foreign_host_header_is_refused(sidecar: Sidecar, host: str) -> None:
    for path in ("/", "/api/snapshot", "/api/stream", "/api/incidents", "/healthz", "/metrics"):
        status, _, body = sidecar.get(path, host)
        assert status == 400
        assert b"locust" not in body


def test_with_a_password_each_request_needs_it(engine: PretendEngine, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{RIGHT}\n")
    own = Sidecar(engine, free_port(), WEB_PASSWORD_FILE=str(tmp_path / "password"))
    for path in ("/", "/api/snapshot", "/api/stream", "/metrics", "/static/js/page.js"):
        status, headers, body = own.get(path)
        assert (status, headers["www-authenticate"][:5]) == (401, "Basic")
        assert b"WEB_PASSWORD" in body
    with closing(SidecarReader(own.port, 20, password=RIGHT)) as reader:
        assert first_snapshot(reader, PROJECT).project == PROJECT
    with (
        closing(SidecarReader(own.port, 20, password=RIGHT + "x")) as reader,
        pytest.raises(MonitorError, match="WEB_PASS"),
    ):
        reader.snapshot()
    assert own.stop()[0] == 0


def test_another_page_may_open_this_one_and_do_nothing_else(sidecar: Sidecar) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    opened = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert sidecar.get("/api/incidents/x/note", method="POST", **foreign)[0] == 403
    assert sidecar.get("/api/stream", **foreign)[0] == 403
    assert sidecar.get("/", **opened)[0] == 200
    assert sidecar.get("/api/incidents/x/note", method="POST", **{"Content-Type": "application/json"})[0] == 400


STATIC = ROOT / "sidecar" / "serve" / "static"
OUR_SCRIPTS = sorted(file.relative_to(STATIC).as_posix() for file in (STATIC / "js").glob("*.js"))


@pytest.mark.parametrize(
    "path",
    ["/", *(f"/static/{file.relative_to(STATIC).as_posix()}" for file in sorted(STATIC.rglob("*")) if file.is_file())],
)
def test_the_page_and_its_files_come_with_strict_headers(sidecar: Sidecar, path: str) -> None:
    status, headers, body = sidecar.get(path)
    assert status == 200
    assert body
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_inline_code_and_asks_no_other_host(sidecar: Sidecar) -> None:
    page = sidecar.get("/")[2].decode()
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r"\son\w+=", page)
    scripts = re.findall(r"<script[^>]*>", page)
    code = [tag for tag in scripts if tag.startswith('<script src="/static/')]
    assert len(code) == 2
    assert [tag for tag in scripts if tag not in code] == [
        '<script id="incident-kinds" type="application/json">'
    ]  # data
    ours = "".join(sidecar.get(f"/static/{path}")[2].decode() for path in OUR_SCRIPTS)
    assert not re.search("innerHTML|outerHTML =|insertAdjacentHTML|document.write|eval", ours)
    addresses = re.findall(r"https?://[^\s\"]+", page + ours)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # the name of a language, which nobody asks for


def test_the_page_and_its_scripts_refer_only_to_files_that_are_there(sidecar: Sidecar) -> None:
    page = sidecar.get("/")[2].decode()
    wanted = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    for path in OUR_SCRIPTS:
        source = sidecar.get(f"/static/{path}")[2].decode()
        wanted |= {f"/static/js/{name}" for name in re.findall(r'from "\./([^"]+)"', source)}
    assert {f"/static/{path}" for path in OUR_SCRIPTS} <= wanted
    assert [path for path in sorted(wanted) if sidecar.get(path)[0] != 200] == []


def test_a_vendored_library_names_its_version_and_has_its_licence() -> None:
    folder = STATIC / "vendor" / "uplot"
    version = re.search(r"v(\d+\.\d+\.\d+)\)", (folder / "uPlot.iife.min.js").read_text(encoding="utf-8"))
    assert version
    assert version.group(1) in (folder / "README.md").read_text(encoding="utf-8")
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/api", "/docs"])
def test_nothing_else_is_served(sidecar: Sidecar, path: str) -> None:
    assert sidecar.get(path)[0] == 404


def events(connection: http.client.HTTPConnection) -> Iterator[dict[str, Any]]:
    connection.request("GET", "/api/stream")
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_a_stream_gives_the_whole_state_at_once_and_then_each_new_one(sidecar: Sidecar) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=20)) as connection:
        stream = events(connection)
        first, second, third = next(stream), next(stream), next(stream)
    assert first["containers"]
    assert len({first["at"], second["at"], third["at"]}) == 3  # a machine's clock may be set back meanwhile


def test_a_thousand_readers_at_once_get_64_streams_and_healthz_answers(engine: PretendEngine) -> None:
    own = Sidecar(engine, free_port())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    request = f"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1:{own.port}\r\n\r\n".encode()
    with ExitStack() as readers:
        sockets = [readers.enter_context(socket.create_connection(("127.0.0.1", own.port), 20)) for _ in range(1000)]
        for reader in sockets:
            reader.sendall(request)
        answers = Counter(reader.recv(len("HTTP/1.1 200")) for reader in sockets)
        assert answers == {b"HTTP/1.1 200": MOST_STREAMS, b"HTTP/1.1 503": 1000 - MOST_STREAMS}
        assert own.get("/healthz")[0] == 200
        assert own.get("/api/snapshot")[0] == 200
        for silent in range(100):  # they ask for nothing, or for half of it
            readers.enter_context(socket.create_connection(("127.0.0.1", own.port), 20)).sendall(request[: silent % 9])
        assert own.get("/healthz")[0] == 200

    def is_free() -> bool | None:
        with closing(http.client.HTTPConnection("127.0.0.1", own.port, timeout=20)) as connection:
            connection.request("GET", "/api/stream")
            return connection.getresponse().status == 200 or None

    until(is_free, "a place after the readers left")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert own.stop()[0] == 0


@pytest.mark.parametrize(
    "within_two_seconds", [False, pytest.param(True, marks=pytest.mark.long)], ids=["at last", "within two seconds"]
)
def test_sigterm_ends_it_with_streams_open(engine: PretendEngine, *, within_two_seconds: bool) -> None:
    own = Sidecar(engine, free_port(), interval="30")
    connections = [http.client.HTTPConnection("127.0.0.1", own.port, timeout=20) for _ in range(3)]
    streams = [events(connection) for connection in connections]
    assert all(next(stream) for stream in streams)
    code, seconds, said = own.stop()
    for connection in connections:
        connection.close()
    assert code == 0
    if within_two_seconds:
        assert seconds < 2
        assert "timeout graceful shutdown exceeded" not in said  # streams end by themselves


def test_a_silent_engine_is_shown_as_stale_and_comes_back(sidecar: Sidecar, engine: PretendEngine) -> None:
    def snapshot() -> dict[str, Any]:
        value: dict[str, Any] = json.loads(sidecar.get("/api/snapshot")[2])
        return value

    def stale() -> dict[str, Any] | None:
        return value if (value := snapshot())["stale"] else None

    engine.broken = True
    value = until(stale, "stale data")
    engine.broken = False
    assert value["containers"]
    assert "it burns" in value["warnings"][0]["text"]
    until(lambda: None if stale() else True, "live data")


def kit(sidecar_port: int, *words: str) -> list[str]:
    web_port = sidecar_port - 1 if sidecar_port > 1025 else sidecar_port + 1
    settings = [f"PROJECT={PROJECT}", f"MONITOR_PORT={sidecar_port}", f"WEB_PORT={web_port}"]
    return [sys.executable, "-m", "sidecar.cli", *words, *settings]


def kit_environ(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", **more}


def finished(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=kit_environ(**more), capture_output=True, text=True, timeout=120, check=False
    )


def test_once_prints_one_plain_frame(sidecar: Sidecar) -> None:
    done = finished([*kit(sidecar.port, "monitor"), "ONCE=1"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Locust Kit") == 1
    assert "\x1b" not in done.stdout
    assert "locust-worker-1" in done.stdout


def test_a_frame_fits_the_columns_asked_for(sidecar: Sidecar) -> None:
    done = finished([*kit(sidecar.port, "monitor"), "ONCE=1"], COLUMNS="80")
    assert max(map(len, done.stdout.splitlines())) == 80


def test_an_output_without_unicode_gets_ascii(sidecar: Sidecar) -> None:
    done = finished([*kit(sidecar.port, "monitor"), "ONCE=1"], PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "locust-worker-1" in done.stdout


def test_a_pipe_gets_frame_after_frame_and_may_close_early(sidecar: Sidecar) -> None:
    process = subprocess.Popen(
        [*kit(sidecar.port, "monitor"), "INTERVAL=1"], cwd=ROOT, env=kit_environ(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    titles = 0
    for line in process.stdout:
        assert "\x1b" not in line
        titles += line.startswith("Locust Kit")
        if titles == 2:
            break
    process.stdout.close()
    assert process.wait(DEADLINE_SECONDS) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_the_snapshot_verb_prints_the_document(sidecar: Sidecar) -> None:
    done = finished(kit(sidecar.port, "snapshot", "--json"))
    assert done.returncode == 0
    assert json.loads(done.stdout)["project"] == PROJECT


@pytest.mark.parametrize("verb", ["monitor", "snapshot"])
def test_a_stack_that_is_down_is_one_line_with_the_next_command(verb: str) -> None:
    done = finished(kit(free_port(), verb))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"the stack '{PROJECT}' is not running" in done.stderr
    assert "make up WORKERS=4" in done.stderr


def test_the_sidecar_of_another_stack_is_not_taken_for_ours(sidecar: Sidecar) -> None:
    done = finished([*kit(sidecar.port, "monitor"), "PROJECT=mine", "ONCE=1"])
    assert done.returncode == 2
    assert f"belongs to the stack '{PROJECT}', not 'mine'" in done.stderr


class Terminal:
    """A view on a terminal of its own, 80 columns by 24 lines."""

    def __init__(self, port: int, **more: str) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [*kit(port, "monitor"), "INTERVAL=1"], cwd=ROOT, env=kit_environ(TERM="xterm-256color", **more),
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        self.seen = ""

    def wait_for(self, text: str, after: int = 0) -> None:
        until(lambda: True if text in self.read()[after:] else None, f"{text!r}, but saw {self.seen[-600:]!r}")

    def read(self) -> str:
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        return self.seen

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ended(self) -> int:
        code = self.process.wait(DEADLINE_SECONDS)
        self.read()
        return code

    def is_intact(self) -> bool:
        """Tell whether echo and line mode are back, the cursor shown, the alternate screen left, in that order."""
        left, shown = self.seen.rfind("\x1b[?1049l"), self.seen.rfind("\x1b[?25h")
        taken, hidden = self.seen.rfind("\x1b[?1049h"), self.seen.rfind("\x1b[?25l")
        return termios.tcgetattr(self.slave) == self.before and left > taken > -1 and shown > hidden > -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(sidecar: Sidecar) -> Iterator[Terminal]:
    made = Terminal(sidecar.port)
    yield made
    made.close()


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_q_and_ctrl_c_leave_the_terminal_intact(terminal: Terminal, key: bytes) -> None:
    terminal.wait_for("locust-worker-1")
    assert "\x1b[?1049h" in terminal.seen
    terminal.press(key)
    assert terminal.ended() == 0
    assert terminal.is_intact()


def test_other_keys_do_nothing(terminal: Terminal) -> None:
    terminal.wait_for("locust-worker-1")
    terminal.press(b"x\x1a\x1b[A")
    terminal.wait_for("Locust Kit", after=len(terminal.seen))
    assert terminal.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_intact(terminal: Terminal, number: signal.Signals) -> None:
    terminal.wait_for("locust-worker-1")
    terminal.process.send_signal(number)
    assert terminal.ended() == 128 + number
    assert terminal.is_intact()
    assert "Traceback" not in terminal.seen


def test_another_size_is_drawn_at_once(terminal: Terminal) -> None:
    terminal.wait_for("locust-worker-1")
    before = len(terminal.seen)
    ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait_for("BLOCK R/W", after=before)


def test_without_colour_there_are_no_colour_codes(sidecar: Sidecar) -> None:
    terminal = Terminal(sidecar.port, NO_COLOR="1")
    try:
        terminal.wait_for("quit")
        colours = [f"\x1b[{code}m" for code in ("31", "32", "33", "1;31", "1;33")]
        assert not any(colour in terminal.seen for colour in colours)
    finally:
        terminal.close()


def test_a_lost_sidecar_is_shown_as_stale_until_it_is_back(engine: PretendEngine) -> None:
    port = free_port()
    first = Sidecar(engine, port)
    terminal = Terminal(port)
    try:
        terminal.wait_for("live")
        first.stop()
        terminal.wait_for("STALE")
        terminal.wait_for("the monitor does not answer")
        lost = len(terminal.seen)
        second = Sidecar(engine, port)
        terminal.wait_for("● live", after=lost)
        second.stop()
    finally:
        terminal.close()
