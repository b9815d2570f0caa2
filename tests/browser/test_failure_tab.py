"""The tab "Failure analysis" of a real Locust in a real Chromium, as a run goes on, open to all and behind a login."""

from __future__ import annotations

import http.cookiejar
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.browser.browser import Browser, until
from tests.paths import ROOT
from tests.ports import free_port

PLUGIN = ROOT / "docker/locust/locust_kit_plugin.py"
HOSTILE = "<img src=x onerror=document.title=location><b>bold</b>"

USERS = f"""
import gevent.monkey; gevent.monkey.patch_all()
from gevent.server import StreamServer
from locust import FastHttpUser, constant, events, task

def serve(link, _):
    while asked := link.recv(65536):
        status = b"503 Busy" if b"/bad" in asked[:10] else b"200 OK"
        link.sendall(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: 2\\r\\n\\r\\nok")

TARGET = StreamServer(("127.0.0.1", 0), serve)
TARGET.start()

class Buyer(FastHttpUser):
    host = f"http://127.0.0.1:{{TARGET.server_port}}"
    wait_time = constant(0.05)
    @task
    def bad(self): self.client.get("/bad")
    @task
    def hostile(self):
        with self.client.get("/page", catch_response=True) as response:
            response.failure({HOSTILE!r})
"""
LOGIN = """
from flask import redirect, request
from flask_login import UserMixin, login_user

class Person(UserMixin):
    id = "ann"
    def get_id(self): return "ann"

@events.init.add_listener
def with_login(environment, **_):
    ui = environment.web_ui
    ui.app.config["SECRET_KEY"] = "for a test"
    ui.login_manager.user_loader(lambda _: Person())
    ui.auth_args = {"username_password_callback": "/enter"}
    @ui.app.route("/enter", methods=["POST"])
    def enter():
        if request.form["password"] == "right":
            login_user(Person())
        return redirect("/")
"""


class Master:
    """A Locust with its web UI, and a person with a browser's cookies."""

    def __init__(self, folder: Path, *, login: bool) -> None:
        self.port = free_port()
        (folder / "users.py").write_text(USERS + (LOGIN if login else ""))
        self.origin = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "log").open("w")
        files = f"{folder / 'users.py'},{PLUGIN}"
        where = ["--web-host", "127.0.0.1", "--web-port", str(self.port), *(["--web-login"] if login else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "locust", "-f", files, *where],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "locustfiles"),
                "KIT_RUNS_DIR": str(folder / "runs"),
            },
            stdout=self._log,
            stderr=self._log,
        )
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        until(self._answers, f"the web UI; {folder / 'log'}", 40)

    def get(self, path: str) -> tuple[str, str]:
        """(address it ended at, text) of a page."""
        with self._opener.open(self.origin + path, timeout=10) as answer:
            return answer.url, answer.read().decode()

    def post(self, path: str, **form: str) -> None:
        self._opener.open(self.origin + path, urllib.parse.urlencode(form).encode(), timeout=10).close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def _answers(self) -> bool:
        with suppress(OSError):
            return bool(self.get("/")[1])
        return False


@pytest.fixture(params=[False, True], ids=["open to all", "behind a login"])
def master(request: pytest.FixtureRequest, tmp_path: Path, browser: Browser) -> Iterator[tuple[Master, bool]]:
    made = Master(tmp_path, login=request.param)
    yield made, request.param
    browser.driver.get("about:blank")
    made.stop()


def enter(browser: Browser) -> None:
    """Fill in the login form as a person does: what React knows is what was typed."""
    fill = """
        const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
        for (const [name, value] of [["username", "ann"], ["password", "right"]]) {
            const input = document.querySelector(`input[name=${name}]`);
            set.call(input, value);
            input.dispatchEvent(new Event("input", {bubbles: true}));
        }
        document.querySelector("button[type=submit]").click();
    """
    until(lambda: browser.run("return document.querySelector('input[name=password]') !== null"), "the login form")
    browser.run(fill)


def open_tab(browser: Browser) -> None:
    press = """
        const tab = [...document.querySelectorAll("[role=tab]")].find((one) => /failure analysis/i.test(one.innerText));
        if (tab) tab.click();
        return Boolean(tab);
    """
    until(lambda: browser.run(press), "the tab")


def count(browser: Browser) -> int:
    """The number in the row of the answers with status 503."""
    row = re.search(r"(\d+)\s+[\d.]+%\s+server_error\s+503", browser.text("body").replace("\n", " ").replace("\t", " "))
    return int(row[1]) if row else 0


def test_classes_groups_and_advice_are_shown_live_and_a_message_is_text(
    master: tuple[Master, bool], browser: Browser
) -> None:
    locust, login = master
    if login:
        ended_at, _ = locust.get("/locust-kit/failure_groups.csv")
        assert urllib.parse.urlsplit(ended_at).path == "/login"
        locust.post("/enter", username="ann", password="right")  # noqa: S106  of this test's own Locust
    locust.post("/swarm", user_count="2", spawn_rate="10")
    browser.open(locust.origin, width=1600)
    if login:
        enter(browser)
    open_tab(browser)
    browser.shows("body", "server_error")
    browser.shows("body", "The target failed. Look at the same second in its logs")
    browser.shows("body", HOSTILE)
    first = until(lambda: count(browser), "the group of 503")
    until(lambda: count(browser) > first, "more of them")
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert "127.0.0.1" not in browser.run("return document.title")
    address, table = locust.get("/locust-kit/failure_groups.csv")
    assert urllib.parse.urlsplit(address).path == "/locust-kit/failure_groups.csv"
    assert {"server_error", "assertion"} <= set(re.split(r"[,\n]", table))
    if picture := os.environ.get("KIT_PICTURE"):
        browser.driver.save_screenshot(picture)
