"""Incidents, and receivers of messages, to test with."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity

NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def incident(number: int = 1, kind: IncidentKind = IncidentKind.OOM_KILL, **changes: Any) -> Incident:
    made = Incident(
        id=f"{kind}-{number}",
        kind=kind,
        severity=Severity.ERROR,
        at=NOW,
        text=f"what happened, number {number}",
        project="locust",
        service="locust-worker",
        container=f"locust-locust-worker-{number}",
        evidence=(EvidenceItem("log", "its last lines", lines=("secret",)),),
    )
    return replace(made, **changes)


class Receiver(ThreadingHTTPServer):
    """Takes POSTs on loopback and answers with `status`; while `dribbles`, it never comes to the end of an answer."""

    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.dribbles = False
        self.pause_seconds = 0.0
        self.got: list[tuple[str, dict[str, Any]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        with suppress(OSError):
            if self.server.dribbles:
                self._dribble()
            threading.Event().wait(self.server.pause_seconds)
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"ok")

    def _dribble(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while not threading.Event().wait(0.05):
            self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""
