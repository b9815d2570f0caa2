"""`run` as its own process, when nobody hears it any more or somebody ends it: it still stops, saves and judges."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.fakes.fake_master import FakeMaster, figures
from tests.paths import ROOT

ENVIRON = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nowhere/docker.sock"}


def command(master: FakeMaster, reports: Path, *words: str) -> list[str]:
    settings = [
        f"WEB_PORT={master.port}",
        "PROJECT=none",
        f"REPORTS_DIR={reports}",
        f"MONITOR_PORT={master.sidecar.port}",
        *words,
    ]
    return [sys.executable, "-m", "sidecar.cli", "run", *settings]


@contextmanager
def started(words: list[str], **streams: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(words, cwd=ROOT, env=ENVIRON, text=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def running_for_ever(master: FakeMaster) -> None:
    master.on_swarm = [figures("running", 5, users=2)]
    master.on_stop = [figures("stopped", 12)]


def verdict(reports: Path) -> str:
    (path,) = reports.glob("*/report.json")
    return str(json.loads(path.read_text())["verdict"])


def wait_for_line(stream: IO[str], text: str) -> None:
    line = ""
    while text not in line:
        line = stream.readline()
        assert line, f"ended without {text!r}"


def exit_code(pid: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


@pytest.mark.parametrize(("failures", "code", "word"), [(0, 0, "PASS"), (3, 1, "FAIL")])
def test_a_closed_pipe_does_not_end_a_run(
    master: FakeMaster, tmp_path: Path, failures: int, code: int, word: str
) -> None:
    master.on_swarm = [figures("running", 5, users=2), figures("running", 9, users=2), figures("stopped", 40, failures)]
    words = command(master, tmp_path, "RUN_TIME=0")
    with started(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(90) == code
        assert process.stderr.read() == ""
    assert verdict(tmp_path) == word


@pytest.mark.parametrize("redirect", [">&-", "2>&1 >/dev/full", ">/dev/full 2>&1", ">&- 2>&-"])
def test_an_output_that_takes_nothing_does_not_end_a_run(master: FakeMaster, tmp_path: Path, redirect: str) -> None:
    master.on_swarm = [figures("running", 5, users=2), figures("stopped", 40, 3)]
    words = ["sh", "-c", f'exec "$@" {redirect}', "sh", *command(master, tmp_path, "RUN_TIME=0")]
    with started(words, stderr=subprocess.DEVNULL) as process:
        assert process.wait(90) == 1
    assert verdict(tmp_path) == "FAIL"


def test_an_error_that_nobody_hears_keeps_its_code(master: FakeMaster, tmp_path: Path) -> None:
    master.worker_count = 0
    words = ["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh", *command(master, tmp_path)]
    with started(words) as process:
        assert process.wait(90) == 2


def test_a_closed_terminal_stops_the_run_and_saves_it(master: FakeMaster, tmp_path: Path) -> None:
    running_for_ever(master)
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  the child
        os.chdir(ROOT)
        os.execve(sys.executable, command(master, tmp_path, "RUN_TIME=60"), ENVIRON)  # noqa: S606  pty.fork leaves no other way
    code = None
    try:
        seen = b""
        while b"2 users" not in seen:
            seen += os.read(terminal, 4096)
        os.close(terminal)
        code = exit_code(pid, seconds=90)
    finally:
        if code is None:
            os.kill(pid, signal.SIGKILL)
    assert code == 4
    assert [path.partition("=")[0] for path, _ in master.posts] == ["/swarm", "/stop?kit_stopped_by"]
    assert verdict(tmp_path) == "INVALID"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_twice_still_lets_the_run_be_saved(
    master: FakeMaster, tmp_path: Path, number: signal.Signals
) -> None:
    running_for_ever(master)
    master.on_stop = [figures("stopping", 12), figures("stopping", 12), figures("stopped", 12)]
    with started(command(master, tmp_path, "RUN_TIME=60"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        wait_for_line(process.stdout, "2 users")
        process.send_signal(number)
        wait_for_line(process.stdout, number.name)
        process.send_signal(number)
        assert process.wait(90) == 4
        rest = process.stdout.read()
    assert f"stopped by {number.name}" in rest
    assert "Ctrl-C" not in rest
    assert verdict(tmp_path) == "INVALID"


def test_under_nohup_a_closed_terminal_is_nothing(master: FakeMaster, tmp_path: Path) -> None:
    running_for_ever(master)
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command(master, tmp_path, "RUN_TIME=0")]
    with started(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        wait_for_line(process.stdout, "2 users")
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        master.figures = [figures("stopped", 40)]
        assert process.wait(90) == 0
    assert [path for path, _ in master.posts] == ["/swarm"]
