"""A real Locust's page and the routes of its locustfile, asked as other web pages, as programs and as itself."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import Credentials, MasterError
from tests.paths import ROOT
from tests.ports import free_port
from tests.process.plugin.supported import PATIENCE_SECONDS, PLUGIN, Installed

USERS = """
from locust import User, constant, events, task

class Idle(User):
    host = "http://shop.invalid"
    wait_time = constant(1)
    @task
    def rest(self): pass

@events.init.add_listener
def own_route(environment, **_):
    environment.web_ui.app.add_url_rule("/mine", "mine", lambda: "mine")
"""
NAME = "locust.shop.example"
FORM = "user_count=1&spawn_rate=1&host=http://evil.example"
FOREIGN: dict[str, dict[str, str]] = {
    "a page elsewhere": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "an old browser": {"Origin": "https://evil.example"},
    "a sandboxed frame": {"Origin": "null"},
    "another port of this machine": {"Sec-Fetch-Site": "same-site"},
    "a link": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
}


class Page:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
        given = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request(method, path, body, given | headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read().decode()

    def status(self, method: str, path: str, body: str | None = None, **headers: str) -> int:
        return self.ask(method, path, body, **headers)[0]

    def run(self) -> tuple[str, str]:
        """Return the state, and the host of the next run."""
        document: dict[str, Any] = json.loads(self.ask("GET", "/locust-kit/status")[2])
        return document["state"], document["user_classes"][0]["host"]


@contextmanager
def serving(folder: Path, python: str, **environment: str) -> Iterator[Page]:
    (folder / "users.py").write_text(USERS)
    page = Page(free_port())
    where = ["--web-host", "127.0.0.1", "--web-port", str(page.port)]
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "locustfiles"),
        "HOME": str(folder),
        "KIT_RUNS_DIR": str(folder / "runs"),
        "KIT_WEB_HOSTS": NAME,
        **environment,
    }
    command = [python, "-W", "ignore", "-m", "locust", "-f", f"users.py,{PLUGIN}", *where]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            end = time.monotonic() + PATIENCE_SECONDS
            while process.poll() is None and time.monotonic() < end:
                try:
                    page.status("GET", "/")
                    break
                except OSError:
                    time.sleep(0.05)
            yield page
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module", params=["installed", pytest.param("2.44.0", marks=pytest.mark.long)])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder, python = tmp_path_factory.mktemp("page"), sys.executable
    if request.param != "installed":
        python = str(Installed.make(folder / "venv", request.param).folder / "bin/python")
    with serving(folder, python) as made:
        yield made


@pytest.mark.parametrize(
    "path", ["/", "/assets/x.js", "/stats/requests", "/logs", "/locust-kit/status", "/mine", "/no"]
)
def test_a_name_that_another_page_lets_resolve_to_this_machine_is_refused(page: Page, path: str) -> None:
    for host in ("evil.example", f"evil.example:{page.port}", f"127.0.0.1.evil.example:{page.port}", "0.0.0.0", ""):
        status, headers, text = page.ask("GET", path, Host=host)
        assert (status, headers["content-type"]) == (400, "text/plain; charset=utf-8")
        assert "WEB_HOSTS" in text
    assert page.status("POST", "/swarm", FORM, Host="evil.example") == 400
    assert page.run() == ("ready", "http://shop.invalid")


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("path", ["/swarm", "/stop", "/stats/reset", "/user", "/mine"])
def test_another_page_changes_nothing(page: Page, kind: str, path: str) -> None:
    for method in ("POST", "PUT", "OPTIONS"):
        assert page.status(method, path, FORM, **FOREIGN[kind]) == 403
    for get in ("/stop", "/stats/reset"):  # before Locust 2.47
        assert page.status("GET", get, **FOREIGN[kind]) == 403
    assert page.run() == ("ready", "http://shop.invalid")


def test_no_answer_lets_another_page_read_it(page: Page) -> None:
    for headers in ({}, *FOREIGN.values()):
        for method in ("GET", "HEAD", "OPTIONS"):
            for path in ("/", "/logs", "/mine", "/no"):
                _, answered, _ = page.ask(method, path, **headers, **{"Access-Control-Request-Method": "POST"})
                assert not [name for name in answered if name.startswith("access-control-")]
                assert answered["content-security-policy"] == "frame-ancestors 'self'"
                assert answered["cross-origin-resource-policy"] == "same-origin"


def test_a_link_elsewhere_opens_the_page(page: Page) -> None:
    assert page.status("GET", "/", **FOREIGN["a link"]) == 200
    assert page.status("GET", "/logs", **{**FOREIGN["a link"], "Sec-Fetch-Dest": "iframe"}) == 403


def test_a_name_of_web_hosts_is_one_of_ours(page: Page) -> None:
    assert page.status("GET", "/", Host=NAME) == 200
    own = {"Host": NAME, "Origin": f"https://{NAME}", "Sec-Fetch-Site": "same-origin"}
    status, headers, text = page.ask("POST", "/swarm", "user_count=-1", **own)
    assert (status, json.loads(text)["success"]) == (200, False)
    assert "access-control-allow-origin" in headers  # Locust's own, for a page that a setting trusts


def test_programs_and_the_page_itself_start_and_stop_a_run(page: Page) -> None:
    own = {"Origin": f"http://127.0.0.1:{page.port}", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, {"Host": "locust-master:8089"}, own):
        assert json.loads(page.ask("POST", "/swarm", "user_count=1&spawn_rate=1", **headers)[2])["success"]
        stopped = page.status("POST", "/stop", "x=1", **headers)
        assert stopped == 200 or page.status("GET", "/stop", **headers) == 200  # 405 before Locust 2.47


def test_with_a_password_no_route_answers_without_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pa ss&wörd\n")
    with serving(tmp_path, sys.executable, KIT_WEB_PASSWORD_FILE=str(tmp_path / "password")) as page:
        for path in ("/", "/logs", "/locust-kit/status", "/mine", "/assets/x.js", "/no"):
            status, headers, _ = page.ask("GET", path)
            assert (status, headers["www-authenticate"][:5]) == (401, "Basic")
        assert page.status("POST", "/swarm", FORM) == 401
        assert page.status("POST", "/swarm", FORM, **FOREIGN["an old browser"]) == 403  # nobody is asked for it there
        url = f"http://127.0.0.1:{page.port}"
        with closing(LocustApi(url, credentials=Credentials("", "", "pa ss&wörd"))) as api:
            assert api.stats()["state"] == "ready"
        with closing(LocustApi(url, credentials=Credentials("", "", "guess"))) as api, pytest.raises(MasterError):
            api.stats()


def test_a_password_that_cannot_be_read_keeps_the_page_closed(tmp_path: Path) -> None:
    with serving(tmp_path, sys.executable, KIT_WEB_PASSWORD_FILE=str(tmp_path / "missing")) as page:
        assert page.status("GET", "/") == 401
