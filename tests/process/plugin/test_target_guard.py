"""A real Locust with ALLOWED_TARGETS: nothing reaches another host, whatever the test writes and where redirects lead.

One server listens on 127.0.0.1, and another one on the same machine under a name or an address that is not in the list.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from sidecar.report.runs import record
from sidecar.report.verdict.judge import judge
from tests.paths import ROOT
from tests.process.plugin.supported import PATIENCE_SECONDS, PLUGIN, Installed
from tests.process.plugin.test_page_guard import serving

USERS = """
import os, socket
from urllib.parse import quote
import requests
from locust import FastHttpUser, HttpUser, constant, events, task

PLACE, OTHER = os.environ["PLACE"], os.environ["OTHER"]
URLS = {
    "absolute": f"http://localhost:{OTHER}/stolen",
    "upper case": f"HTTP://LOCALHOST:{OTHER}/stolen",
    "dot": f"http://localhost.:{OTHER}/stolen",
    "user": f"http://127.0.0.1:{PLACE}@localhost:{OTHER}/stolen",
    "backslash": f"http://localhost:{OTHER}\\\\@127.0.0.1:{PLACE}/",
    "other port": f"http://127.0.0.1:{OTHER}/stolen",
    "short": f"http://127.1:{OTHER}/stolen",
    "hexadecimal": f"http://0x7f000001:{OTHER}/stolen",
    "IPv6": f"http://[::ffff:127.0.0.1]:{OTHER}/stolen",
    "redirect": "/to?" + quote(f"http://localhost:{OTHER}/stolen"),
    "redirect of 2": "/to?" + quote(f"/to?" + quote(f"//localhost:{OTHER}/stolen")),
}

DONE = []

def finish(user):
    DONE.append(user)
    if len(DONE) == 3:
        user.environment.runner.quit()
    user.stop()

def everything(user):
    user.client.get("/page", name="page")
    user.client.post("/to?" + quote("/page"), name="redirect at home", data="x")
    for name, url in URLS.items():
        try:
            user.client.get(url, name=name)
        except Exception as error:
            print("RAISED", name, type(error).__name__, error)
    finish(user)

class Plain(HttpUser):
    fixed_count = 1
    @task
    def go(self): everything(self)

class Fast(FastHttpUser):
    fixed_count = 1
    @task
    def go(self): everything(self)

class Others(HttpUser):
    "What is no request of Locust's clients: requests itself, a socket, a lookup of a name."
    fixed_count = 1
    @task
    def go(self):
        for name, act in {
            "requests": lambda: requests.get(URLS["redirect"].replace("/to", f"http://127.0.0.1:{PLACE}/to", 1)),
            "socket": lambda: socket.create_connection(("192.0.2.1", 80), timeout=2),
            "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)),
            "lookup": lambda: socket.getaddrinfo("other.invalid", 80),
            "name": lambda: socket.socket().connect(("other.invalid", 80)),
            "old lookup": lambda: socket.gethostbyname("other.invalid"),
        }.items():
            try:
                act()
            except Exception as error:
                print("OTHER", name, type(error).__name__)
        finish(self)
"""


class Target(ThreadingHTTPServer):
    """A server that counts its requests; /to?URL redirects there."""

    def __init__(self) -> None:
        paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path)
                path, _, where = self.path.partition("?")
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(302 if path == "/to" else 200)
                self.send_header("content-length", "0")
                if path == "/to":
                    self.send_header("location", unquote(where))
                self.end_headers()

            do_POST = do_GET  # noqa: N815  as above

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.paths = paths
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def targets() -> Iterator[tuple[Target, Target]]:
    with Target() as place, Target() as other:
        yield place, other
        place.shutdown()
        other.shutdown()


def run(
    folder: Path, python: str, targets: tuple[Target, Target], allowed: str, host: str = "", proxy: str = ""
) -> subprocess.CompletedProcess[str]:
    (folder / "users.py").write_text(USERS)
    place, other = (str(target.server_port) for target in targets)
    where = ["-H", host or f"http://127.0.0.1:{place}"]
    return subprocess.run(
        [
            python,
            "-W",
            "ignore",
            "-m",
            "locust",
            "-f",
            f"users.py,{PLUGIN}",
            "--headless",
            "-u",
            "3",
            "-r",
            "3",
            *where,
        ],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "locustfiles"),
            "HOME": str(folder),
            "KIT_RUNS_DIR": str(folder / "runs"),
            "PLACE": place,
            "OTHER": other,
            "KIT_ALLOWED_TARGETS": allowed,
            "KIT_PROXY": proxy,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


VERSIONS = [sys.executable, pytest.param("2.44.0", marks=pytest.mark.long)]
NAMES = [
    "absolute",
    "upper case",
    "dot",
    "user",
    "other port",
    "short",
    "hexadecimal",
    "IPv6",
    "redirect",
    "redirect of 2",
]


@pytest.mark.parametrize("python", VERSIONS)
def test_nothing_reaches_another_host(tmp_path: Path, python: str, targets: tuple[Target, Target]) -> None:
    if python != sys.executable:
        python = str(Installed.make(tmp_path / "venv", python).folder / "bin/python")
    place, other = targets
    done = run(tmp_path, python, targets, f"127.0.0.1:{place.server_port}")
    assert other.paths == [], done.stdout
    assert place.paths.count("/page") == 4, done.stdout  # of both clients, one of them after a redirect at home
    refused = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("OTHER ")]
    assert {" ".join(name): error for *name, error in refused} == {
        "requests": "RequestNotAllowedError",
        **dict.fromkeys(["socket", "datagram", "lookup", "name", "old lookup"], "TargetNotAllowedError"),
    }
    assert "keeps Locust's default" not in done.stdout  # the trials of the plugin's own changes
    assert "RAISED" not in done.stdout, done.stdout  # Locust counts them as failed requests
    (run_id,) = record.ids(tmp_path / "runs")
    found = record.read(tmp_path / "runs", run_id, datetime.now(UTC))
    groups = {(group["name"], group["class"]): group["count"] for group in found.groups["groups"]}
    for name in NAMES:
        assert groups[name, "target_not_allowed"] == 2, (name, groups)
    assert {name for name, _ in groups} - set(NAMES) <= {"backslash"}  # not sent, or sent to the allowed place
    verdict = judge(replace(found, watched_until=found.until))
    assert (verdict.word, next(reason.kind for reason in verdict.broken)) == ("INVALID", "target_not_allowed")
    assert f"refused localhost:{other.server_port}: it is not in ALLOWED_TARGETS" in done.stdout


def test_behind_a_proxy_the_host_of_the_request_counts(tmp_path: Path, targets: tuple[Target, Target]) -> None:
    proxy = targets[0]
    host = "http://allowed.invalid"
    done = run(tmp_path, sys.executable, targets, "allowed.invalid:80", host, f"http://127.0.0.1:{proxy.server_port}")
    assert {f"{host}/page", f"{host}:80/page"} <= {*proxy.paths}, done.stdout  # each client's way to write it
    hosts = {urlsplit(path).hostname for path in proxy.paths}
    assert hosts <= {"allowed.invalid", "127.0.0.1", None}  # the proxy's own address is allowed
    assert targets[1].paths == []


def test_without_the_setting_the_same_test_reaches_it(tmp_path: Path, targets: tuple[Target, Target]) -> None:
    run(tmp_path, sys.executable, targets, "")
    assert targets[1].paths.count("/stolen") > 2 * 8


def test_a_run_without_a_page_does_not_start_against_another_host(
    tmp_path: Path, targets: tuple[Target, Target]
) -> None:
    other = f"localhost:{targets[1].server_port}"
    done = run(tmp_path, sys.executable, targets, "127.0.0.1, 10.0.0.0/8", f"http://ann:pw@{other}/")
    assert done.returncode == 2, done.stdout
    assert f"the run does not start: the host of the run is {other}, which is not in ALLOWED_TARGETS" in done.stdout
    assert targets[1].paths == []


def test_an_unusable_list_allows_nothing(tmp_path: Path, targets: tuple[Target, Target]) -> None:
    done = run(tmp_path, sys.executable, targets, "http://127.0.0.1")
    assert done.returncode == 2, done.stdout
    assert "KIT_ALLOWED_TARGETS is not valid, so no target is allowed; expected: host names" in done.stdout


def test_the_page_starts_no_run_against_another_host(tmp_path: Path) -> None:
    with serving(tmp_path, sys.executable, KIT_ALLOWED_TARGETS="shop.example *.test.example") as page:
        form = "user_count=1&spawn_rate=1"
        for body, seen in {
            f"{form}&host=http://EVIL.example": "the host of the run is evil.example:80",
            f"{form}&host=http://shop.example@evil.example/": "the host of the run is evil.example:80",
            f"{form}&host=": "the host of the class Idle is shop.invalid:80",
            form: "the host of the class Idle is shop.invalid:80",
        }.items():
            status, _, text = page.ask("POST", "/swarm", body)
            answer = json.loads(text)
            assert (status, answer["success"]) == (200, False)
            assert answer["message"].startswith(
                f"{seen}, which is not in ALLOWED_TARGETS; expected: one of shop.example"
            )
            assert page.run() == ("ready", "http://shop.invalid")
        assert json.loads(page.ask("POST", "/swarm", f"{form}&host=http://a.test.example")[2])["success"]
