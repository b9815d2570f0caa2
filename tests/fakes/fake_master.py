"""A small real HTTP server that answers as a Locust master does, for tests of what talks to one."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


class _Served:
    """A server on a free port of 127.0.0.1, in a thread of its own."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """End the server; twice does no harm."""
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class QuietSidecar(_Served):
    """A sidecar of the stack `none` that saw nothing break."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                nothing: dict[str, Any] = {"incidents": [], "blind": [], "at": "2026-11-27T00:00:00Z"}
                _json(self, {"schema_version": 1, "project": "none", **nothing})

            def log_message(self, *args: object) -> None:
                del args

        super().__init__(Handler)


class FakeMaster(_Served):
    """Serves on a free port of 127.0.0.1. Tests set the answers and read what was asked.

    Attributes:
        figures: answers of /stats/requests, one each time; the last one stays.
        posts: (path, form fields) of every POST.
        sidecar: the one of its stack.
        refused: what begins so is answered with 500.
        stop_wants_get: whether POST /stop answers 405, as Locust before 2.47 does.
    """

    def __init__(self) -> None:
        self.sidecar = QuietSidecar()
        self.figures: list[dict[str, Any]] = [figures("ready")]
        self.status: dict[str, Any] | None = None
        self.page: dict[str, Any] = {"users": {"WebUser": {"host": "http://shop"}}, "version": "2.47.0"}
        self.worker_count: int | str = 2
        self.swarm: dict[str, Any] = {"success": True, "message": "Swarming started"}
        self.exceptions: list[dict[str, Any]] | None = None
        self.stop_wants_get = False
        self.guarded = False
        self.refused = "none"
        self.posts: list[tuple[str, list[tuple[str, str]]]] = []
        self.gets: list[str] = []
        self.on_swarm: list[dict[str, Any]] | None = None
        self.on_stop: list[dict[str, Any]] | None = None
        master = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                master.gets.append(self.path)
                master._get(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                master.posts.append((self.path, parse_qsl(body, keep_blank_values=True)))
                master._post(self)

            def log_message(self, *args: object) -> None:
                del args

        super().__init__(Handler)

    def close(self) -> None:
        """End both servers; twice does no harm."""
        self.sidecar.close()
        super().close()

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        if self.guarded:
            _answer(handler, 302, "text/html", b"", Location="/login")
        elif handler.path.startswith(self.refused):
            _answer(handler, 500, "text/plain", b"no memory")
        elif handler.path == "/stats/requests":
            _json(handler, self.figures.pop(0) if len(self.figures) > 1 else self.figures[0])
        elif handler.path == "/worker-count":
            _json(handler, {"worker_count": self.worker_count})
        elif handler.path == "/locust-kit/status" and self.status is not None:
            _json(handler, self.status)
        elif handler.path == "/":
            page = f"<script>window.templateArgs = {json.dumps(self.page)}\n</script>"
            _answer(handler, 200, "text/html", page.encode())
        elif handler.path == "/exceptions" and self.exceptions is not None:
            _json(handler, {"exceptions": self.exceptions})
        elif handler.path.startswith(("/stats/", "/exceptions", "/locust-kit/failure", "/locust-kit/performance")):
            _answer(handler, 200, "text/csv", f"content of {handler.path}".encode())
        elif handler.path.partition("?")[0] == "/stop" and self.stop_wants_get:
            self._stopped()
            _json(handler, {"success": True})
        else:
            _answer(handler, 404, "text/html", b"not here")

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/swarm":
            if self.on_swarm is not None:
                self.figures = self.on_swarm
            _json(handler, self.swarm)
        elif handler.path.partition("?")[0] == "/stop" and self.stop_wants_get:
            _answer(handler, 405, "text/html", b"method not allowed")
        elif handler.path.partition("?")[0] == "/stop":
            self._stopped()
            _json(handler, {"success": True})
        else:
            _answer(handler, 404, "text/html", b"not here")

    def _stopped(self) -> None:
        if self.on_stop is not None:
            self.figures = self.on_stop


def figures(
    state: str, requests: int = 0, failures: int = 0, workers: dict[str, str] | None = None, users: int = 0
) -> dict[str, Any]:
    """One answer of /stats/requests; `workers` maps ids to states."""
    row = {
        "method": "GET",
        "name": "/a",
        "num_requests": requests,
        "num_failures": failures,
        "total_rps": 2.0,
        "median_response_time": 5,
        "response_time_percentile_0.95": 9,
        "response_time_percentile_0.99": 11,
        "max_response_time": 12.4,
        "avg_response_time": 5.5,
    }
    errors = [{"method": "GET", "name": "/a", "error": "500", "occurrences": failures}] if failures else []
    known = {"w1": "ready", "w2": "ready"} if workers is None else workers
    return {
        "state": state,
        "user_count": users,
        "errors": errors,
        "current_rps": 2.0,
        "stats": [row, {**row, "method": "", "name": "Aggregated"}],
        "current_response_time_percentiles": {"response_time_percentile_0.95": 9},
        "workers": [{"id": name, "state": worker_state, "user_count": 0} for name, worker_state in known.items()],
    }


def _json(handler: BaseHTTPRequestHandler, document: dict[str, Any]) -> None:
    _answer(handler, 200, "application/json", json.dumps(document).encode())


def _answer(handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
