"""Code that holds the loop is named with its line, in a real Locust with a worker; users that only wait are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.process.plugin.test_any_locustfile import PLUGIN, counting_server, locust

USERS = """
import ctypes, hashlib, time, gevent
from locust import FastHttpUser, constant, events, task
from locust.runners import MasterRunner

SLEEP, HELD = ctypes.CDLL(None).usleep, ctypes.PyDLL(None).usleep

class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    @task(3)
    def look(self):
        self.client.get("/page")

    @task
    def pause(self):
        {code}
        self.environment.runner.send_message("paused")

@events.init.add_listener
def end_by_count(runner, **_):
    paused = []
    def count(environment, **_):
        paused.append(1)
        if len(paused) == 6:
            gevent.spawn(runner.quit)
    if isinstance(runner, MasterRunner):
        runner.register_message("paused", count)

@events.test_start.add_listener
def prepare(**_):
    SLEEP(300_000)  # no user is there yet

@events.test_stopping.add_listener
def clean_up(**_):
    SLEEP(300_000)
"""
LINE = 17


def stalls(folder: Path, code: str) -> dict[str, Any]:
    """What the meter counted in a run of six pauses, however long a busy machine takes for them."""
    (folder / "users.py").write_text(USERS.format(code=code))
    port = str(free_port())
    with counting_server() as (url, asked):
        options = ["-u", "4", "-r", "100", "-t", "90", "--processes", "1"]
        said = locust(
            folder,
            [folder / "users.py", PLUGIN],
            url,
            *(*options, "--master-port", port, "--master-bind-port", port),
        )
    assert asked["/page"], said
    (end,) = (folder / "runs").glob("*/end.json")
    found: dict[str, Any] = json.loads(end.read_text())["meters"]["loop"]
    return found


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("SLEEP(200_000)", "pause → SLEEP"),  # in the kernel, without the interpreter lock
        ("HELD(200_000)", "pause → HELD"),  # with it
        ('hashlib.pbkdf2_hmac("sha256", b"a", b"b", 1_000_000)', "pause → hashlib.pbkdf2_hmac"),
        ("for _ in range(20_000_000): pass", "pause"),
    ],
)
def test_code_that_blocks_is_named_with_its_line(code: str, place: str, tmp_path: Path) -> None:
    found = stalls(tmp_path, code)
    (first, *_) = found["places"]
    # Code that holds the interpreter lock is seen when it gives the lock back, on a busy machine a line later.
    lines = (LINE, LINE + 1) if code.startswith("HELD") else (LINE,)
    assert first["place"] in [f"users.py:{line} {place}" for line in lines]
    assert first["count"] <= found["blocked"]["count"]
    assert first["longest_ms"] >= 100
    assert found["worst"]["blocked"]["observed_seconds"] >= first["seconds"] > 0


def test_users_that_wait_are_no_stall_and_neither_is_what_comes_before_and_after_the_run(tmp_path: Path) -> None:
    found = stalls(tmp_path, "time.sleep(0.2)")
    assert not [row for row in found["places"] if row["longest_ms"] >= 300 or row["place"].startswith("users.py")], (
        found
    )
