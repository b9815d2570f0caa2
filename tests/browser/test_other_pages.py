"""What a web page elsewhere can do to a real Locust, in the Chromium of a person who visits it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser.browser import Browser, until
from tests.browser.test_failure_tab import Master

PAGE = b"<!doctype html><title>elsewhere</title><body>"
FORM = "user_count=1&spawn_rate=1&host=http://shop.invalid"


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("referrer-policy", "no-referrer")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Visit:
    """A person with a Locust on this machine who visits another page."""

    def __init__(self, browser: Browser, master: Master, elsewhere: int) -> None:
        self.browser, self.master = browser, master
        self.pages = {
            "another site": f"http://localhost:{elsewhere}/",
            "another port": f"http://127.0.0.1:{elsewhere}/",
        }

    def open(self, address: str) -> None:
        self.browser.open(address)

    def run(self, script: str) -> Any:
        """Run a script of the page that is open, and return what its promise comes to."""
        body = f"(async () => {{ {script} }})()"
        answer = self.browser.ask("Runtime.evaluate", expression=body, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def fetched(self, path: str, options: str = "{}") -> str:
        """Return what the page that is open reads of Locust's, or that it reads nothing."""
        script = f"const answer = await fetch('{self.master.origin}{path}', {options}); return await answer.text()"
        return str(self.run(f"try {{ {script} }} catch (error) {{ return 'nothing: ' + error }}"))

    def state(self) -> str:
        return str(json.loads(self.master.get("/locust-kit/status")[1])["state"])


@pytest.fixture
def visit(tmp_path: Path, browser: Browser) -> Iterator[Visit]:
    elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    master = Master(tmp_path, login=False)
    yield Visit(browser, master, elsewhere.server_port)
    browser.driver.get("about:blank")
    master.stop()
    elsewhere.shutdown()
    elsewhere.server_close()


def submit(address: str) -> str:
    """Send a form as a page can: the browser leaves the page, as after a click."""
    fields = "".join(
        f"form.append(Object.assign(document.createElement('input'), {{name: '{name}', value: '{value}'}}));"
        for name, value in (pair.split("=") for pair in FORM.split("&"))
    )
    return (
        f"const form = Object.assign(document.createElement('form'), {{method: 'post', action: '{address}'}});"
        f"{fields} document.body.append(form); form.submit()"
    )


def test_another_page_neither_starts_nor_reads_nor_stops_anything(visit: Visit) -> None:
    for name, page in visit.pages.items():
        visit.open(page)
        assert visit.fetched("/logs").startswith("nothing"), name
        assert visit.fetched("/stats/requests", "{mode: 'no-cors'}") in ("", "nothing: TypeError: Failed to fetch"), (
            name
        )
        sent = "{method: 'POST', mode: 'no-cors', body: new URLSearchParams('" + FORM + "')}"
        visit.fetched("/swarm", sent)
        visit.run(submit(f"{visit.master.origin}/swarm"))
        visit.browser.shows("body", "another web page sent this request")
        assert visit.state() == "ready", name


def test_another_page_does_not_stop_a_run(visit: Visit) -> None:
    visit.master.post("/swarm", user_count="1", spawn_rate="1")
    until(lambda: visit.state() == "running", "the run")
    for page in visit.pages.values():
        visit.open(page)
        for path in ("/stop", "/stats/reset"):
            visit.fetched(path, "{mode: 'no-cors'}")
            visit.fetched(path, "{method: 'POST', mode: 'no-cors'}")
    assert visit.state() == "running"


def test_a_name_that_resolves_to_this_machine_opens_nothing(visit: Visit) -> None:
    visit.open(visit.master.origin.replace("127.0.0.1", "evil.localhost"))
    visit.browser.shows("body", "this host name is not allowed")
    visit.run(submit("/swarm"))
    visit.browser.shows("body", "this host name is not allowed")
    assert visit.state() == "ready"


def test_locusts_own_page_opens_by_a_link_and_starts_a_run(visit: Visit) -> None:
    visit.open(visit.pages["another site"])
    visit.run(f"location = '{visit.master.origin}/'")
    visit.browser.shows("body", "Start")
    assert json.loads(visit.fetched("/swarm", f"{{method: 'POST', body: new URLSearchParams('{FORM}')}}"))["success"]
    until(lambda: visit.state() == "running", "the run")


def test_another_page_shows_locusts_page_in_no_frame(visit: Visit) -> None:
    visit.open(visit.pages["another site"])
    visit.run(f"document.body.innerHTML = '<iframe src={visit.master.origin}/ width=900 height=700></iframe>'")
    until(lambda: any("403" in line or "frame-ancestors" in line for line in heard(visit.browser)), "the refusal")


def heard(browser: Browser) -> list[str]:
    browser.listen()
    return browser.console
