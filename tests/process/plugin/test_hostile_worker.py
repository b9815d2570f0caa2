"""Whoever reaches the master's port can send anything: the run's figures stay right, and the master hears the next one.

A real master with its web page, a real worker, and a socket that sends what no worker of Locust's would.
"""

from __future__ import annotations

import math
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from tests.fakes.worker_reports import bent, genuine
from tests.process.plugin.test_any_locustfile import counting_server
from tests.process.plugin.test_quitting import Pair, until

HOSTILE = "hostile_1"
SCENARIO = """
from locust import FastHttpUser, constant, events, task
from locust.exception import StopUser
from locust.runners import WorkerRunner

class Buyer(FastHttpUser):
    wait_time = constant(0.05)
    @task
    def buy(self): self.client.get("/page", name="buy")

{more}
"""
MUTE = """
reports = []
events.test_start.add_listener(lambda **_: reports.clear())

@events.init.add_listener
def begin(environment, runner, **_):
    if isinstance(runner, WorkerRunner):
        send = runner._send_stats
        def mute():
            reports.append(1)
            if len(reports) in {numbers}:  # made, and never sent
                environment.events.report_to_master.fire(client_id=runner.client_id, data={})
                raise StopUser  # ends the reporter
            send()
        runner._send_stats = mute
"""
pack: Any = msgpack.dumps


class Two(Pair):
    """A master and a worker, with more in their locustfile."""

    def __init__(self, folder: Path, host: str, more: str) -> None:
        super().__init__(folder, host, SCENARIO.replace("{more}", more))
        self.asked: Counter[str] = Counter()

    def stop_run(self) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}/stop", method="POST")
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310  the same

    def reports(self) -> Any:
        return self.get("/locust-kit/status")["meters"]["reports"]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


@pytest.fixture
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    with ExitStack() as stack:
        url, asked = stack.enter_context(counting_server())
        made = Two(tmp_path, url, getattr(request, "param", ""))
        stack.callback(made.stop)
        made.asked = asked
        yield made


@contextmanager
def dealer(port: str, identity: bytes | None = None) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    made = context.socket(zmq.DEALER)
    made.setsockopt(zmq.LINGER, 5000)
    if identity:
        made.setsockopt(zmq.IDENTITY, identity)
    made.connect(f"tcp://127.0.0.1:{port}")
    try:
        yield made
    finally:
        made.close()
        context.term()


def attack(port: str) -> None:
    """Send what ended Locust's listener, what cannot be true, and what is larger than anything that is."""
    for identity in (None, HOSTILE.encode(), b"\xff\xfe\xfd"):
        with dealer(port, identity) as sender:
            for frame in (b"\xc1", b"", b"\xff", b"\x93\x01", b"\x91" * 5000, pack((1, 2))):
                sender.send(frame)
            sender.send_multipart([b"", b"one", b"two"])
    with dealer(port, b"large") as sender:
        sender.setsockopt(zmq.LINGER, 0)
        sender.send(b"x" * (40 << 20))
        time.sleep(0.5)  # it is to be on its way when the socket closes
    for junk in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 64,
        b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + b"\0" * 48 + b"\xff" * 300,
    ):
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), timeout=5) as link:
            link.sendall(junk)
    with dealer(port, HOSTILE.encode()) as sender:
        for kind, data in (
            ("heartbeat", {"state": "running"}),
            ("spawning_complete", {"user_classes_count": 5}),
            ("client_ready", {"a": 1}),
            ("exception", None),
            ("logs", {"worker_id": "another"}),
            (["stats"], {}),
            ("stats", genuine()),
            ("client_ready", "2.47.0"),
            ("stats", None),
            ("stats", bent(genuine(), ("stats_total", "total_response_time"), math.nan)),
            ("stats", bent(genuine(), ("stats", 0, "num_reqs_per_sec"), {2**60: 1})),
            ("stats", bent(genuine(), ("locust_kit", "files"), {"/dev/zero": "ab" * 32})),
            ("quit", None),
        ):
            sender.send(pack((kind, data, HOSTILE)))


def test_a_hostile_worker_changes_no_figure_and_the_master_hears_the_next_message(two: Two) -> None:
    two.start_run()
    until(lambda: two.get("/stats/requests")["stats"][-1]["num_requests"] > 20, "the first figures")
    attack(two.port)
    until(lambda: sum(row["count"] for row in two.reports()["refused"]) >= 25, "what was sent to be refused")
    rows = two.reports()["refused"]
    assert {row["worker"] for row in rows} >= {HOSTILE, "somebody"}
    assert {row["reason"] for row in rows if row["changes_figures"]} >= {
        "stats: num_reqs_per_sec: a key is out of range",
        "files: not a path below the locustfiles' folder",
    }
    before = two.get("/stats/requests")["stats"][-1]["num_requests"]
    until(lambda: two.get("/stats/requests")["stats"][-1]["num_requests"] > before, "the worker to be heard")
    assert two.get("/worker-count")["worker_count"] == 1
    assert two.master.poll() is None
    two.stop_run()
    end = two.end()
    assert 0 <= two.asked["/page"] - end["requests"] <= 2  # each user may have been cut off in one
    assert sum(row["count"] for row in end["meters"]["reports"]["refused"]) >= 25
    assert "Traceback" not in two.log("master")


@pytest.mark.parametrize("two", [MUTE.replace("{numbers}", "(2,)")], indirect=True)
def test_a_reporter_that_an_exception_ended_is_started_again_and_the_loss_is_known(two: Two) -> None:
    two.start_run()
    (lost,) = until(lambda: two.reports()["refused"], "the lost report to be known")
    assert (lost["reason"], lost["count"], lost["changes_figures"]) == ("a report was lost on the way", 1, True)
    assert "stats_reporter ended with StopUser" in two.log("worker")


@pytest.mark.parametrize("two", [MUTE.replace("{numbers}", "range(2, 1000)")], indirect=True)
def test_a_worker_that_reports_nothing_for_10_s_is_silent_though_its_heartbeats_go_on(two: Two) -> None:
    two.start_run()
    (silent,) = until(lambda: two.reports()["silent_workers"], "the silence to be known")
    assert silent["users"] == 2
    assert silent["seconds"] >= 10
    (worker,) = two.get("/stats/requests")["workers"]
    assert worker["state"] == "running"
