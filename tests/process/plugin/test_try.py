"""`try` in a real Locust process: it sends where it says that it sends, fires Locust's events, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.paths import ROOT

PROGRAM = """
import sys
from pathlib import Path
from locust_kit import try_once, user_code
user_code.USER_FILES = Path.cwd()
try_once.PART_SECONDS = float(sys.argv[1])
sys.exit(try_once.main())
"""
LONG_SECONDS = 60.0


class Counter(ThreadingHTTPServer):
    """A server on the loopback that keeps the paths which it was asked for, and answers /500 with that status."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Counter)
        self.server.asked.append(self.path)
        self.send_response(500 if self.path == "/500" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Counter]:
    with Counter() as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield one
        one.shutdown()


def tried(folder: Path, text: str, host: str = "", seconds: float = LONG_SECONDS) -> subprocess.CompletedProcess[str]:
    """Try a locustfile of this text; `seconds` is the limit of each part."""
    (folder / "locustfile.py").write_text(textwrap.dedent(text))
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "locustfiles"),
        "LOCUST_LOCUSTFILE": "locustfile.py",
    }
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-P", "-c", PROGRAM, str(seconds)],
        cwd=folder,
        env=environ | ({"LOCUST_HOST": host} if host else {}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("client", ["HttpUser", "FastHttpUser"])
def test_a_class_without_a_host_takes_that_of_the_call(client: str, server: Counter, tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        f"""
        from locust import {client}, task
        class Shop({client}):
            @task
            def index(self):
                self.client.get("/fast")
        """,
        server.url,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Shop → {server.url}" in done.stdout
    assert "1 request, 0 failed, 0 errors" in done.stdout
    assert server.asked == ["/fast"]


OWN = """
from locust import HttpUser, task
class Shop(HttpUser):
    host = "HOST"
    @task
    def index(self):
        self.client.get("/own")
"""


def test_the_host_of_the_call_replaces_that_of_the_class_and_the_class_hears_nothing(
    server: Counter, tmp_path: Path
) -> None:
    with Counter() as own:
        threading.Thread(target=own.serve_forever, daemon=True).start()
        text = OWN.replace("HOST", own.url)
        assert f"Shop → {server.url}" in tried(tmp_path, text, server.url).stdout
        assert (server.asked, own.asked) == (["/own"], [])
        assert f"Shop → {own.url}" in tried(tmp_path, text).stdout
        assert (server.asked, own.asked) == (["/own"], ["/own"])
        own.shutdown()


def test_a_class_without_a_host_and_none_given_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = tried(tmp_path, OWN.replace('    host = "HOST"\n', ""))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("class Shop has no host")
    assert "HOST=" in line


def test_who_waits_for_all_users_goes_on(server: Counter, tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        """
        from gevent.event import Event
        from gevent.lock import Semaphore
        from locust import HttpUser, events, task
        spawned, started, ready = Semaphore(), Event(), Event()
        spawned.acquire()
        events.spawning_complete.add_listener(lambda user_count, **_: user_count == 2 and spawned.release())
        events.test_start.add_listener(lambda environment, **_: started.set())
        events.init.add_listener(lambda environment, runner, **_: ready.set())
        class Website(HttpUser):
            def on_start(self):
                ready.wait()
                started.wait()
                spawned.wait()
            @task
            def index(self):
                assert self.environment.runner.state == "running"
                self.client.get("/")
        class Second(Website): ...
        """,
        server.url,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.asked == ["/", "/"]


@pytest.mark.parametrize(
    ("part", "name", "hang"),
    [
        (
            "def __init__(self, environment):\n        super().__init__(environment)\n        HANGS",
            "Slow.__init__",
            "sleep",
        ),
        ("def on_start(self):\n        HANGS", "Slow.on_start", "swallow"),
        ("def on_stop(self):\n        HANGS", "Slow.on_stop", "spin"),
        ("@task\n    def hang(self):\n        HANGS", "Slow.hang", "sleep"),
    ],
)
def test_whatever_hangs_ends_with_the_line_and_the_next_class_is_tried(
    part: str, name: str, hang: str, server: Counter, tmp_path: Path
) -> None:
    done = tried(
        tmp_path,
        f"""
import gevent
from locust import HttpUser, task
def sleep():
    gevent.sleep(600)
def swallow():
    while True:
        try:
            sleep()
        except BaseException:
            pass
def spin():
    while True:
        pass
class Slow(HttpUser):
    @task
    def works(self): self.client.get("/slow")
    {part.replace("HANGS", f"{hang}()")}
class Next(HttpUser):
    @task
    def index(self): self.client.get("/next")
""",
        server.url,
        seconds=1,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL {name}: took longer than 1 s" in done.stdout
    assert "(locustfile.py line " in done.stdout
    assert "/next" in server.asked


def test_code_that_cannot_be_interrupted_ends_with_its_line(tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        """
        from gevent import monkey
        from locust import User, task
        class Stuck(User):
            @task
            def stuck(self):
                monkey.get_original("time", "sleep")(600)
        """,
        seconds=1,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL Stuck.stuck: took longer than 1 s and cannot be stopped (locustfile.py line 7)" in done.stdout


def test_an_answer_that_was_never_reported_is_named(server: Counter, tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        """
        from locust import FastHttpUser, HttpUser, task
        class Slow(HttpUser):
            @task
            def seen(self):
                with self.client.get("/200", catch_response=True) as answer:
                    answer.success()
            @task
            def unseen(self):
                self.client.get("/500", catch_response=True, name="/unseen")
        class Fast(FastHttpUser):
            @task
            def unseen_too(self):
                self.client.get("/500", catch_response=True)
        """,
        server.url,
    )
    assert done.returncode == 1
    assert "FAIL GET /unseen: answered 500, but was never reported: catch_response=True without `with`" in done.stdout
    assert "FAIL GET /500: answered 500" in done.stdout
    assert "1 request, 0 failed, 2 errors" in done.stdout


def test_every_kind_of_task_set_runs_each_task_once_in_its_order(server: Counter, tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        """
        from locust import HttpUser, MarkovTaskSet, SequentialTaskSet, TaskSet, task, transition, transitions
        class Chain(MarkovTaskSet):
            @transition("browse")
            def index(self): self.client.get("/index")
            @transitions({"buy": 3, "index": 1})
            def browse(self): self.client.get("/browse")
            @transition("index")
            def buy(self): self.client.get("/buy")
        class Steps(SequentialTaskSet):
            @task(5)
            def first(self): self.client.get("/first")
            @task
            class Inner(TaskSet):
                @task
                def deep(self):
                    self.client.get("/deep")
                    self.interrupt()
            @task
            def last(self): self.client.get("/last")
        class Shop(HttpUser):
            tasks = [Chain, Steps]
            def __init__(self, environment):
                super().__init__(environment)
                self.tasks = [*self.tasks, self.bound]
            def bound(self): ...
        """,
        server.url,
    )
    assert server.asked == ["/index", "/browse", "/buy", "/first", "/deep", "/last"], done.stdout + done.stderr
    assert "FAIL Shop.bound: TypeError" in done.stdout  # Locust calls a User's task with the User, a bound one, too


def test_pytest_functions_run_once_with_the_session_of_locust(server: Counter, tmp_path: Path) -> None:
    text = """
    def test_home(session):
        session.get("/home").raise_for_status()
    def test_lost(fastsession):
        fastsession.get("/500")
    def test_wrong(session):
        session.get("/500").raise_for_status()
        assert False, "never reached"
    def test_right(session):
        assert session.get("/right").status_code == 418, "no tea"
    """
    done = tried(tmp_path, text, server.url)
    assert server.asked == ["/home", "/500", "/500", "/right"], done.stdout + done.stderr
    assert "4 requests, 2 failed, 1 error " in done.stdout
    assert "FAIL test_right: AssertionError: no tea (locustfile.py line 10)" in done.stdout
    homeless = tried(tmp_path, text)
    assert (homeless.returncode, homeless.stderr.startswith("class test_home has no host")) == (2, True)


def test_locusts_events_come_in_locusts_order_and_nothing_holds_the_end(server: Counter, tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        """
        import threading, time
        from locust import HttpUser, events, task
        @events.test_start.add_listener
        def start(environment, **_):
            print("start", environment.runner.target_user_count)
            threading.Thread(target=lambda: [time.sleep(1) for _ in iter(int, 1)]).start()
            raise KeyError("data")
        for name in ("init", "test_start", "spawning_complete", "test_stopping", "test_stop", "quitting"):
            getattr(events, name).add_listener(lambda name=name, **_: print("event", name))
        class Shop(HttpUser):
            @task
            def stops(self):
                self.client.get("/")
                self.stop()
            @task
            def never(self): self.client.get("/never")
        class Quits(HttpUser):
            @task
            def quits(self):
                self.client.get("/")
                self.environment.runner.quit()
        class Never(Shop): ...
        """,
        server.url,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert server.asked == ["/", "/"]
    lines = [line for line in done.stdout.splitlines() if line.startswith(("event", "start"))]
    assert lines[:2] == ["event init", "start 3"]
    assert lines[2:] == [
        f"event {n}" for n in ("test_start", "spawning_complete", "test_stopping", "test_stop", "quitting")
    ]
    assert "FAIL events.test_start: KeyError: 'data' (locustfile.py line 8)" in done.stdout


def test_a_listener_that_raises_what_ends_users_is_an_error_with_its_line(server: Counter, tmp_path: Path) -> None:
    done = tried(
        tmp_path,
        """
        from gevent import GreenletExit
        from locust import HttpUser, events, task
        from locust.exception import StopTest, StopUser

        def ends(event, error):
            @event.add_listener
            def listener(**_):
                raise error

        ends(events.init, StopUser())
        ends(events.test_start, GreenletExit())
        ends(events.spawning_complete, StopTest())
        ends(events.test_stop, StopUser())

        class Shop(HttpUser):
            @task
            def look(self):
                self.client.get("/look")
        """,
        server.url,
    )
    assert (done.stderr, done.returncode, server.asked) == ("", 1, ["/look"])
    failed = [line for line in done.stdout.splitlines() if line.startswith("  FAIL")]
    names = ("init: StopUser", "test_start: GreenletExit", "spawning_complete: StopTest", "test_stop: StopUser")
    assert failed == [f"  FAIL events.{name}:  (locustfile.py line 9)" for name in names]
