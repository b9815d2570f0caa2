"""An engine that is none: it answers like Docker on a unix socket, from recorded payloads, and counts the questions."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.sidecar_samples import recorded

WORKER_ID = "ab" * 32
MASTER_ID = "cd" * 32
WATCHED, WATCHED_ID = "shop", "ef" * 32


class PretendEngine(socketserver.ThreadingUnixStreamServer):
    """Serves a master and a worker of one project until closed; `broken` makes each answer a 500."""

    daemon_threads = True

    def __init__(self, path: Path, project: str = "locust") -> None:
        self.path = path
        self.project = project
        self.asked: Counter[str] = Counter()
        self.broken = False
        self.listed: Any = None  # what it answers to a list, when that is to be odd
        self.gone = False
        self.version = {"ApiVersion": "1.45", "MinAPIVersion": "1.24"}
        self.cpu_total_ns = 1_000_000_000
        self._links: list[socket.socket] = []
        super().__init__(str(path), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.hang_up()  # kept-alive connections would outlive the server
        self.path.unlink(missing_ok=True)

    def hang_up(self) -> None:
        """Close each open connection, as a proxy does with idle ones."""
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._links.clear()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._links.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def containers(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        labels = json.loads(query["filters"][0])["label"]
        if query["all"] != ["1"]:
            return []
        if labels == [f"com.docker.compose.project={WATCHED}"]:
            return [self._entry(WATCHED_ID, "web", WATCHED)]
        if labels != [f"com.docker.compose.project={self.project}"]:
            return []
        return [self._entry(MASTER_ID, "locust-master"), self._entry(WORKER_ID, "locust-worker")]

    def _entry(self, container_id: str, service: str, project: str = "") -> dict[str, Any]:
        project = project or self.project
        labels = {"com.docker.compose.service": service, "com.docker.compose.container-number": "1"}
        labels["com.docker.compose.project"] = project
        name = f"/{project}-{service}-1"
        return {
            "Id": container_id,
            "Image": f"{service}:1",
            "Names": [name],
            "State": "running",
            "Status": "Up 5 minutes (healthy)",
            "Labels": labels,
        }

    def stats(self) -> dict[str, Any]:
        payload: dict[str, Any] = recorded("v2/stats_one_shot")
        self.cpu_total_ns += 500_000_000
        payload["cpu_stats"]["cpu_usage"]["total_usage"] = self.cpu_total_ns
        payload["cpu_stats"]["system_cpu_usage"] = self.cpu_total_ns * 4
        return payload


class _Handler(BaseHTTPRequestHandler):
    server: PretendEngine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/v1.45")
        what = path.rpartition("/")[2]
        self.server.asked[what] += 1
        if self.server.broken:
            self._answer(500, b'{"message":"it burns"}')
        elif path == "/version":
            self._json(self.server.version)
        elif path == "/containers/json":
            self._json(self.server.listed or self.server.containers(parse_qs(url.query)))
        elif self.server.gone:
            self._answer(404, b'{"message":"No such container"}')
        elif what == "json":
            self._json(recorded("v2/stats_running_inspect"))
        elif what == "stats" and url.query == "stream=false&one-shot=true":
            self._json(self.server.stats())
        elif what == "logs":
            line = b"2026-11-22T08:15:28Z [2026-11-22 08:15:28,522] f26e19abb9b8/INFO/locust.main: Starting\n"
            self._answer(200, b"\x02\x00\x00\x00" + len(line).to_bytes(4, "big") + line)
        else:
            self._answer(403, b"not allowed")

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
