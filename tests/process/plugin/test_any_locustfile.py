"""Any locustfile runs unchanged beside the plugin: the same requests, the same figures, its own listeners as ever.

Real Locust processes against a server on the loopback that counts what it is asked for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.paths import ROOT
from tests.ports import free_port

PLUGIN = ROOT / "docker/locust/locust_kit_plugin.py"

COMMON = """
import gevent
from locust import FastHttpUser, HttpUser, LoadTestShape, constant, events, task

class Limited:
    wait_time = constant(0)
    done = 0
    def go(self, name, path):
        if self.done >= 10:
            gevent.sleep(60)
        self.done += 1
        self.client.get(path, name=name)
"""
SEVERAL = f"""{COMMON}
class Reader(Limited, HttpUser):
    fixed_count = 2
    @task
    def read(self): self.go("read", "/page")
class Buyer(Limited, FastHttpUser):
    fixed_count = 1
    @task
    def buy(self): self.go("buy", "/bad")
"""
SHAPE = f"""{COMMON}
class Reader(Limited, FastHttpUser):
    @task
    def read(self): self.go("read", "/page")
class Steps(LoadTestShape):
    def tick(self):
        return (3, 100) if self.runner.stats.num_requests < 30 else None
"""
LISTENERS = f"""{COMMON}
import listeners, locust_kit_x, utils
HEARD = []
@events.request.add_listener
def heard(request_type, name, response_time, response_length, response, context, exception, start_time, url, **more):
    HEARD.append(name)
    assert not more, more
@events.request.add_listener
def broken(**_):
    raise RuntimeError("the user's own listener")
@events.quitting.add_listener
def report(**_):
    print("heard", len(HEARD), listeners.WHO, locust_kit_x.WHO, utils.WHO)
class Reader(Limited, FastHttpUser):
    fixed_count = 3
    @task
    def read(self): self.go("read", "/bad")
"""
PEOPLE = f"""{COMMON}
from .words import NAME
class Reader(Limited, HttpUser):
    fixed_count = 3
    @task
    def read(self): self.go(NAME, "/page")
"""
HALVES = f"""{COMMON}
class Reader(Limited, FastHttpUser):
    fixed_count = 3
    def go(self, name, path):
        if self.done >= 10:
            gevent.sleep(60)
        self.done += 1
        with self.client.get(path, name=name, catch_response=True) as response:
            response.failure("half of a pair: \\ud800")
    @task
    def read(self): self.go("read", "/page")
"""
FUNCTIONS = """
from collections import Counter
import gevent
done = Counter()
def test_read(session):
    if done[session] >= 10:
        gevent.sleep(60)
    done[session] += 1
    session.get("/page")
"""
FILES = {
    "functions": {"functions.py": FUNCTIONS},  # of pytest
    "several": {"several.py": SEVERAL},
    "shape": {"shape.py": SHAPE},
    "halves": {"halves.py": HALVES},
    "package": {  # LOCUSTFILE=shop, a package by itself, is the image's: tests/integration/test_users_files.py
        "package.py": "from shop import Reader\n",
        "shop/__init__.py": "from .people import Reader\n",
        "shop/people.py": PEOPLE,
        "shop/words.py": "NAME = 'read'\n",
    },
    "own": {
        "own.py": LISTENERS,
        **{f"{name}.py": f"WHO = 'mine-{name}'\n" for name in ("listeners", "locust_kit_x", "utils")},
    },
}
UNTIL = """
import gevent
from locust import events
from locust.runners import WorkerRunner

@events.init.add_listener
def end_when_done(environment, runner, **_):
    def wait():
        while runner.stats.num_requests < {requests}:
            gevent.sleep(0.02)
        runner.quit()  # as `-t` does
    if not isinstance(runner, WorkerRunner):
        gevent.spawn(wait)
"""
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
MOST_SECONDS = 80
"""Of a run, however slow the machine is: it ends when its requests are done."""
EXPECTED = {
    "functions": {"/page": 30},
    "several": {"/page": 20, "/bad": 10},
    "shape": {"/page": 30},
    "halves": {"/page": 30},
    "package": {"/page": 30},
    "own": {"/bad": 30},
}


@pytest.fixture
def server() -> Iterator[tuple[str, Counter[str]]]:
    with counting_server() as made:
        yield made


@contextmanager
def counting_server() -> Iterator[tuple[str, Counter[str]]]:
    """The URL of a server, and how often each of its paths was asked for."""
    asked: Counter[str] = Counter()
    counting = threading.Lock()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with counting:
                asked[self.path] += 1
            self.send_response(503 if self.path == "/bad" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}", asked
        made.shutdown()


def locust(folder: Path, files: list[Path], url: str, *options: str | Path, **environ: str) -> str:
    """Run Locust headless; return all that it printed."""
    names = ",".join(map(str, files))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "locust", "-f", names, "--headless", "-H", url, *options],
        env={
            **{name: value for name, value in os.environ.items() if name != "LOCUST_SKIP_MONKEY_PATCH"},  # for tests
            "PYTHONPATH": f"{folder}:{ROOT / 'locustfiles'}",
            "KIT_RUNS_DIR": str(folder / "runs"),
            **environ,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS + 10,
        check=False,
    )
    return done.stdout + done.stderr


def run(
    folder: Path,
    what: str,
    url: str,
    *,
    plugin: bool,
    requests: int = 30,
    environ: Mapping[str, str] = NO_SETTINGS,
) -> tuple[dict[str, tuple[int, int]], str]:
    """Run until so many requests are done. Return (name: (requests, failures), all that was printed)."""
    options: list[str | Path] = ["--json-file", folder / f"{what}-{plugin}"]
    until = folder / f"until_{plugin}.py"
    until.write_text(UNTIL.format(requests=requests))
    files = [folder / f"{what}.py"]
    if what != "shape":  # which ends itself
        files.append(until)
        options += ["-u", "3", "-r", "100", "-t", str(MOST_SECONDS)]
    if what in {"halves", "steady"}:  # a worker, whose report must be sent
        port = str(free_port())  # Locust's own may be in use, and its worker would join that other master
        options += ["--processes", "1", "--master-port", port, "--master-bind-port", port]
    # pytest reads the settings of the folder in which a locustfile lies: those of this repository make warnings errors.
    beside = Path(shutil.copy(PLUGIN, folder)) if what == "functions" else PLUGIN
    printed = locust(folder, [*files, *([beside] if plugin else [])], url, *options, **environ)
    rows = json.loads((folder / f"{what}-{plugin}.json").read_text())
    return {row["name"]: (row["num_requests"], row["num_failures"]) for row in rows}, printed


@pytest.mark.parametrize("what", FILES)
def test_requests_and_figures_are_those_of_a_run_without_the_plugin(
    what: str, tmp_path: Path, server: tuple[str, Counter[str]]
) -> None:
    url, asked = server
    for name, text in FILES[what].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with counting_server() as (other_url, without), ThreadPoolExecutor() as pool:  # most of a run is waiting
        running = pool.submit(run, tmp_path, what, other_url, plugin=False)
        with_it, said = run(tmp_path, what, url, plugin=True)
        bare, _ = running.result()
    assert (bare, dict(without), dict(asked)) == (with_it, EXPECTED[what], EXPECTED[what])
    (end,) = (tmp_path / "runs").glob("*/end.json")
    assert json.loads(end.read_text())["meters"]["stopping"]["users_cut_off"] == 0
    assert "locust-kit: " not in "".join(
        line for line in said.splitlines() if "WARNING" in line and "too many" not in line
    )
    if what == "own":
        assert "heard 30 mine-listeners mine-locust_kit_x mine-utils" in said


STEADY = """
from locust import FastHttpUser, constant, task
class Buyer(FastHttpUser):
    wait_time = constant(0.01)
    @task
    def buy(self): self.client.get("/bad", name="buy")
"""


def test_a_run_that_ends_with_locust_itself_has_what_its_workers_sent_last(
    tmp_path: Path, server: tuple[str, Counter[str]]
) -> None:
    (tmp_path / "steady.py").write_text(STEADY)
    figures, said = run(tmp_path, "steady", server[0], plugin=True, requests=101)
    requests, failures = figures["buy"]
    assert requests == failures > 100
    (folder,) = (tmp_path / "runs").iterdir()
    groups, statistics, times, end = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ("failure_groups", "statistics", "performance", "end")
    )
    assert (groups["failures"], groups["requests"]) == (failures, requests)
    assert sum(group["count"] for group in groups["groups"]) == failures
    assert (statistics["figures"]["failures"], times["endpoints"][0]["failed"]["count"]) == (failures, failures)
    assert (end["requests"], end["failures"], end["quit"]) == (requests, failures, False)
    assert f"Failure analysis: {failures} failed requests (100.0 % of {requests})" in said


def test_the_time_to_load_the_plugin_is_not_taken_from_the_run(
    tmp_path: Path, server: tuple[str, Counter[str]]
) -> None:
    """Gevent's clock stands still while modules are imported, and Locust counts `-t` from there."""
    (tmp_path / "several.py").write_text(SEVERAL)
    said = locust(tmp_path, [tmp_path / "several.py", PLUGIN], server[0], "-u", "3", "-r", "100", "-t", "1")
    begun, over = (
        datetime.strptime(found[1], "%H:%M:%S,%f").replace(tzinfo=UTC)
        for found in (re.search(rf"([\d:,]+)\] .*{line}", said) for line in ("limit set to", "limit reached"))
        if found
    )
    assert (over - begun) % timedelta(days=1) >= timedelta(seconds=0.98)


BROKEN_INSIDE = """
from locust_kit.failures.capture import Capture
def broken(self, *_):
    raise ZeroDivisionError("inside the plugin")
Capture.on_request = broken
"""


@pytest.mark.parametrize(
    ("fault", "environ", "inside", "warning"),
    [
        ("a folder that cannot be made", {"KIT_RUNS_DIR": "/proc/no"}, "", "cannot be written: .*No such"),
        ("a full disk", {"KIT_RUNS_DIR": "RUNS"}, "", "No space left"),
        ("a bad number", {"KIT_SLOW_MS": "abc"}, "", "KIT_SLOW_MS is 'abc', which is not valid; using 3000"),
        ("a bad switch", {"KIT_SHARE_TLS": "x"}, "", "KIT_SHARE_TLS is 'x'; expected: 1 or 0"),
        ("an exception inside", {}, BROKEN_INSIDE, "counting failures failed, the run goes on: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_fault_of_the_plugins_own_is_one_warning_and_the_run_goes_on(
    fault: str, environ: dict[str, str], inside: str, warning: str, tmp_path: Path, server: tuple[str, Counter[str]]
) -> None:
    url, asked = server
    (tmp_path / "several.py").write_text(inside + SEVERAL)
    full = tmp_path / "full"
    full.mkdir()
    if fault == "a full disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", full], check=True)
        environ = {"KIT_RUNS_DIR": str(full)}
        (full / "other").write_bytes(b"x" * 4096)
    try:
        figures, said = run(tmp_path, "several", url, plugin=True, environ=environ)
    finally:
        if fault == "a full disk":
            subprocess.run(["umount", full], check=True)
    warnings = [line for line in said.splitlines() if "locust-kit: " in line and "/WARNING/" in line]
    warnings = [line for line in warnings if "too many" not in line]
    assert len(warnings) == 1, said
    assert re.search(warning, warnings[0])
    assert "Traceback" not in said
    assert (figures["read"], figures["buy"], dict(asked)) == ((20, 0), (10, 10), EXPECTED["several"])
