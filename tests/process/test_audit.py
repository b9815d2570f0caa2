"""scripts/audit before a service of the tests' own, which knows what the test says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.paths import ROOT

KNOWN = {
    "id": "PYSEC-2026-1",
    "affected": [
        {
            "package": {"name": "locust", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {}
        if self.server.vulnerable == asked["package"]["name"]:  # type: ignore[attr-defined]
            answer = {"vulns": [KNOWN]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.vulnerable = ""  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def audit(port: int) -> tuple[int, list[str]]:
    url = f"http://127.0.0.1:{port}/v1/query"
    command = [sys.executable, str(ROOT / "scripts/audit"), "--vulnerability-service", "osv", "--osv-url", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout.splitlines()


def test_a_known_vulnerability_of_a_pinned_package_fails(service: ThreadingHTTPServer) -> None:
    service.vulnerable = "locust"  # type: ignore[attr-defined]
    code, (line, last) = audit(service.server_port)
    assert code == 1
    assert last.endswith("packages were checked, known vulnerabilities: 1")
    assert line.startswith("locust 2.")
    assert line.endswith(": PYSEC-2026-1, fixed in 99.1 → scripts/lock --upgrade-package locust")


@pytest.mark.long
def test_packages_without_a_known_vulnerability_pass(service: ThreadingHTTPServer) -> None:
    code, (line,) = audit(service.server_port)
    assert code == 0
    assert line.endswith("packages were checked, known vulnerabilities: 0")


def test_a_service_that_does_not_answer_is_not_a_pass(service: ThreadingHTTPServer) -> None:
    service.server_close()
    code, (line,) = audit(service.server_port)
    assert code == 3
    assert line.startswith("audit: skipped ")
