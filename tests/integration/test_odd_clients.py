"""Clients of the test's own that report anything, and a worker that sends anything: counts and verdict stay right."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stacks import USERS_FILES, Stack, docker, get_json, readable, until
from tests.paths import ROOT

CUT_OFF = 6  # users: each may be within a request as the run ends
PYTHON = "/opt/venv/bin/python3"
COUNTS = (
    "import urllib.request as u; print(u.urlopen('http://mock-target:8080/_mock/counts', timeout=20).read().decode())"
)
HOSTILE = """
import math, sys, time, msgpack, zmq
from tests.fakes.worker_reports import bent, genuine

me = "hostile_1"
socket = zmq.Context().socket(zmq.DEALER)
socket.setsockopt(zmq.IDENTITY, me.encode())
socket.setsockopt(zmq.LINGER, 5000)
socket.connect("tcp://locust-master:5557")
for frame in (b"\\xc1", b"", b"\\x93\\x01", b"\\x91" * 5000):
    socket.send(frame)
reports = [
    bent(genuine(), ("stats_total", "total_response_time"), math.nan),
    bent(genuine(), ("locust_kit", "files"), {"/dev/zero": "ab" * 32}),
]
for kind, data in (("heartbeat", None), ("stats", None), ("client_ready", {}), ("stats", genuine())):
    socket.send(msgpack.dumps((kind, data, me)))
if sys.argv[1] == "registered":
    socket.send(msgpack.dumps(("client_ready", "2.47.0", me)))
    for report in reports:
        socket.send(msgpack.dumps(("stats", report, me)))
    socket.send(msgpack.dumps(("quit", None, me)))
time.sleep(2)
"""


class OddStack:
    """A stack whose users report what `mode.json` says."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        readable(folder)
        shutil.copy(USERS_FILES / "odd_clients" / "locustfile.py", folder)
        self.be()
        stack.settings |= {"LOCUSTFILES_DIR": str(folder), "MOCK": "1"}

    def be(self, **mode: Any) -> None:
        (self.folder / "mode.json").write_text(json.dumps(mode))

    def run(self, seconds: int = 8) -> tuple[int, Any]:
        """The exit code of a run by `kit run`, and its report."""
        done = self.stack.kit("run", "USERS=6", "SPAWN_RATE=6", f"RUN_TIME={seconds}s")
        newest = max(self.stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
        return done.returncode, strict(newest.read_text())

    def sent(self) -> dict[str, int]:
        """How many requests the target answered, by status."""
        (worker, *_) = self.stack.containers("locust-worker")
        statuses: dict[str, int] = json.loads(docker("exec", worker, PYTHON, "-c", COUNTS))["statuses"]
        return statuses

    def attack(self, how: str) -> None:
        """Send what no worker would, from a container of the kit's image in the stack's network."""
        network = f"{self.stack.project}_default"
        mounts = [f"{ROOT / folder}:/hostile/{folder}:ro" for folder in ("tests", "locustfiles")]
        done = subprocess.run(
            [
                *("docker", "run", "--rm", "-i", "--network", network, "--label", "io.locust-kit.role=helper"),
                *(word for mount in mounts for word in ("-v", mount)),
                *("-e", "PYTHONPATH=/hostile:/hostile/locustfiles", "--entrypoint", PYTHON),
                *("locust-kit/locust:local", "-", how),
            ],
            input=HOSTILE, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def strict(text: str) -> Any:
    def refused(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refused)


@pytest.fixture(scope="module")
def odd(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> OddStack:
    made = OddStack(stack, tmp_path_factory.mktemp("locustfiles"))
    stack.up("WORKERS=2")
    return made


_SOME = [("response_length", "none"), ("response_time", "nan"), ("name", "half")]
_MORE = [
    ("response_time", "negative"),
    ("response_time", "text"),
    ("name", "nul"),
    ("name", "huge"),
    ("request_type", "none"),
]


@pytest.mark.parametrize(
    ("field", "value"), [*_SOME, *(pytest.param(*odd_value, marks=pytest.mark.long) for odd_value in _MORE)]
)
def test_half_of_the_requests_failed_whatever_is_odd_about_them(odd: OddStack, field: str, value: str) -> None:
    odd.be(field=field, value=value)
    code, report = odd.run()
    assert (code, report["verdict"]) == (1, "FAIL"), report["reasons"]
    figures = report["figures"]
    assert figures["requests"] == 2 * figures["failures"] > 20
    assert report["failure_classes"] == {"other": figures["failures"]}
    for page in ("/stats/requests", "/locust-kit/status"):
        assert strict(json.dumps(odd.stack.web(page)))


def test_a_worker_with_names_that_cannot_be_sent_falls_silent_no_more(odd: OddStack) -> None:
    odd.be()
    before = odd.sent()
    code, report = odd.run(12)
    after = odd.sent()
    assert (code, report["verdict"]) == (1, "FAIL"), report["reasons"]
    assert 0 <= after["500"] - before.get("500", 0) - report["figures"]["failures"] <= CUT_OFF
    assert report["figures"]["failures"] > 20
    assert 0 <= sum(after.values()) - sum(before.values()) - report["figures"]["requests"] <= CUT_OFF


def test_a_listener_that_ends_the_event_takes_no_failure_along(odd: OddStack) -> None:
    odd.be(ends=True)
    before = odd.sent()
    code, report = odd.run()
    failures = report["figures"]["failures"]
    assert (code, report["verdict"]) == (1, "FAIL"), report["reasons"]
    assert 0 <= odd.sent()["500"] - before.get("500", 0) - failures <= CUT_OFF
    assert {row["name"]: row["requests"] for row in report["endpoints"]}.keys() == {"/fast", "/failing"}
    assert [(group["name"], group["count"], group["share"]) for group in report["failure_groups"]] == [
        ("/failing", failures, 1.0)
    ]


def test_accounts_of_failures_that_differ_are_no_evidence(odd: OddStack) -> None:
    odd.be(**{"counts by itself": True})
    code, report = odd.run()
    assert (code, report["judged"]["reasons"][0]["kind"]) == (4, "accounts_differ"), report["reasons"]
    assert f"Locust counted {report['figures']['failures']} failed requests, the plugin 0" in report["reasons"][0]


@pytest.mark.parametrize(("how", "word"), [("unknown", "FAIL"), ("registered", "INVALID")])
def test_a_hostile_worker_changes_no_figure(odd: OddStack, how: str, word: str) -> None:
    odd.be()
    before = odd.sent()
    run = odd.stack.start_run("USERS=6", "SPAWN_RATE=6", "RUN_TIME=40s")
    odd.attack(how)
    refused = until(lambda: odd.stack.web("/locust-kit/status")["meters"]["reports"]["refused"], 20, "the refusals")
    assert any(row["worker"] == "hostile_1" for row in refused)
    printed, _ = run.communicate(timeout=240)
    assert run.returncode == (1 if word == "FAIL" else 4), printed
    newest = max(odd.stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    report = strict(newest.read_text())
    kinds = [reason["kind"] for reason in report["judged"]["reasons"]]
    assert (report["verdict"], "report_refused" in kinds) == (word, word == "INVALID"), report["reasons"]
    assert 0 <= odd.sent()["500"] - before.get("500", 0) - report["figures"]["failures"] <= CUT_OFF
    assert report["figures"]["failures"] > 20
    assert get_json(f"http://127.0.0.1:{odd.stack.web_port}/worker-count")["worker_count"] == 2
