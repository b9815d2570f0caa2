"""Secrets in every place of a test: no output of a real Locust with its page, CSV files and reports shows one."""

from __future__ import annotations

import base64
import csv
import re
import signal
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.stacks import USERS_FILES
from tests.process.plugin.test_quitting import Pair, until

PAGES = (
    *("/", "/stats/requests", "/stats/requests/csv", "/stats/requests_full_history/csv", "/stats/failures/csv"),
    *("/exceptions", "/exceptions/csv", "/stats/report", "/tasks", "/logs", "/locust-kit/status"),
    *("/locust-kit/failure_groups.csv", "/locust-kit/failure_groups.json"),
)
SECRET = re.compile(r"[\w%]*-Zq81xY")
TURNS = 2


@contextmanager
def shop_server() -> Iterator[tuple[str, set[str | None]]]:
    """The URL of a server with secrets in its answers, and the credentials that it got."""
    credentials: set[str | None] = set()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            credentials.add(self.headers.get("Authorization"))
            body = b'{"message": "no such user", "access_token": "answered-Zq81xY"}'
            self.send_response(401 if "/status/401" in self.path else 200)
            self.send_header("Set-Cookie", "sid=set_cookie-Zq81xY; Path=/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  the name that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://ann:host-Zq81xY@127.0.0.1:{made.server_port}", credentials
        made.shutdown()


class Shop(Pair):
    """A master that writes all files that Locust can write, and its worker."""

    credentials: set[str | None]
    options = ("--csv", "seen", "--csv-full-history", "--html", "seen.html")

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
        return text


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as stack:
        url, credentials = stack.enter_context(shop_server())
        made = Shop(tmp_path, url, (USERS_FILES / "secrets/locustfile.py").read_text())
        made.credentials = credentials
        stack.callback(made.stop)
        yield made


def test_no_page_file_or_log_shows_a_secret(shop: Shop) -> None:
    until(lambda: (shop.get("/worker-count") or {}).get("worker_count"), "the worker to register")
    (host,) = re.findall(r"http://\*\*\*@127\.0\.0\.1:\d+", shop.page("/"))
    form = urllib.parse.urlencode({"user_count": 2, "spawn_rate": 10, "run_time": 60, "host": host}).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{shop.web}/swarm", form, timeout=10).close()  # as the page does it
    until(lambda: sum(row["count"] for row in shop.get("/exceptions")["exceptions"]) >= 2 * TURNS, "the exceptions")
    until(lambda: shop.get("/stats/requests")["errors"], "the errors")
    shown = {path: shop.page(path) for path in PAGES}
    urllib.request.urlopen(f"http://127.0.0.1:{shop.web}/stop", b"", timeout=30).close()
    shop.end()
    shown |= {f"{path} after the run": shop.page(path) for path in PAGES}
    shop.master.send_signal(signal.SIGINT)  # then Locust writes its report
    shop.master.wait(60)
    files = {str(path.relative_to(shop.folder)): path for path in shop.folder.rglob("*") if path.is_file()}
    shown |= {name: path.read_text(errors="replace") for name, path in files.items() if "shop.py" not in name}
    assert {"seen_stats.csv", "seen_failures.csv", "seen_exceptions.csv", "seen.html", "worker.log"} <= set(shown)
    assert "signing in failed" in shown["worker.log"]
    assert {name: sorted(set(found)) for name, text in shown.items() if (found := SECRET.findall(text))} == {}
    assert shop.credentials == {f"Basic {base64.b64encode(b'ann:host-Zq81xY').decode()}"}
    rows = [row["Name"] for row in csv.DictReader(shown["seen_stats.csv"].splitlines())]
    assert {"/fast?access_token=***", "/reset-password/***", "connect password=***", "/fast?page=2"} <= set(rows)
