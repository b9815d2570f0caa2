"""A small real HTTP server on a unix socket that answers as the Docker engine does."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from pathlib import Path


class FakeEngine:
    """Serves on `path`. `answers` maps a path without its version to a document, bytes or a status code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Any] = {"/version": {"Version": "28.5.1"}, "/containers/json": []}
        self.asked: list[str] = []
        self.queries: list[dict[str, list[str]]] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine._answer(self)

            def do_POST(self) -> None:
                engine._answer(self)

            def do_DELETE(self) -> None:
                engine._answer(self)

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *args: object) -> None:
                del args

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(re.sub(r"^/v1\.\d+/", "/", handler.path))
        self.asked.append(f"{handler.command} {parts.path}")
        self.queries.append(parse_qs(parts.query))
        found = self.answers.get(parts.path, 404)
        if parts.path == "/containers/json" and isinstance(found, list):
            found = _filtered(found, parse_qs(parts.query))
        status = found if isinstance(found, int) else 200
        body = (
            found
            if isinstance(found, bytes)
            else json.dumps({"message": "no"} if isinstance(found, int) else found).encode()
        )
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def _filtered(rows: list[dict[str, Any]], query: dict[str, list[str]]) -> list[dict[str, Any]]:
    wanted = json.loads(query.get("filters", ["{}"])[0]).get("label", [])
    return [
        row
        for row in rows
        if all(f"{k}={row['Labels'].get(k)}" in wanted for k in [w.partition("=")[0] for w in wanted])
    ]


def container(service: str, project: str = "locust", state: str = "running", **more: Any) -> dict[str, Any]:
    """One row of /containers/json."""
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
    }
    return {
        "Id": f"{project}-{service}-id",
        "Names": [f"/{project}-{service}-1"],
        "State": state,
        "Status": more.pop("status", "Up"),
        "Ports": more.pop("ports", []),
        "Labels": {**labels, **more.pop("labels", {})},
    }
