"""An engine that is none: its `/events`, as Docker has it, with a memory of 256 events that a restart empties."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections import deque
from contextlib import suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECOND = 1_000_000_000
ID = "ab" * 32


class PretendEvents(socketserver.ThreadingUnixStreamServer):
    """Remembers and streams events. `path` may be closed and served again by another one with the same `ring`."""

    daemon_threads = True

    def __init__(self, path: Path, ring: deque[dict[str, Any]] | None = None) -> None:
        self.path = path
        self.ring: deque[dict[str, Any]] = deque(maxlen=256) if ring is None else ring
        self.asked: list[dict[str, str]] = []
        self.hung = threading.Event()  # probes get no answer, as behind a proxy that hangs
        self.refusing = False
        self._listeners: list[SimpleQueue[dict[str, Any] | None]] = []
        self._links: list[socket.socket] = []
        self._guard = threading.Lock()
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def happen(self, action: str, ns: int, *, dropped: bool = False, **attributes: str) -> dict[str, Any]:
        """Let an event happen; `dropped`: the engine remembers it, but the stream does not bring it."""
        event = {
            "Type": "container",
            "Action": action,
            "Actor": {"ID": ID, "Attributes": {"name": "victim", **attributes}},
            "time": ns // SECOND,
            "timeNano": ns,
        }
        with self._guard:
            self.ring.append(event)
            for listener in () if dropped else self._listeners:
                listener.put(event)
        return event

    @property
    def listeners(self) -> int:
        with self._guard:
            return len(self._listeners)

    def streams_asked(self) -> list[dict[str, str]]:
        return [query for query in self.asked if "until" not in query]

    def hang_up(self) -> None:
        """End every stream, and cut each connection."""
        with self._guard:
            for listener in self._listeners:
                listener.put(None)
            self._listeners.clear()
            for link in self._links:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            self._links.clear()

    def close(self) -> None:
        self.hung.clear()
        self.shutdown()
        self.server_close()
        self.hang_up()
        self.path.unlink(missing_ok=True)

    def listen(self, since_ns: int | None) -> tuple[list[dict[str, Any]], SimpleQueue[dict[str, Any] | None]]:
        """Give what is remembered since then, and a queue of all that comes, with nothing lost in between."""
        with self._guard:
            replay = [] if since_ns is None else [one for one in self.ring if one["timeNano"] >= since_ns]
            queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
            self._listeners.append(queue)
            return replay, queue

    def process_request(self, request: Any, client_address: Any) -> None:
        self._links.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: PretendEvents
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.asked.append(query)
        if self.server.refusing:
            self._answer(500, b'{"message":"it burns"}')
        elif "until" not in query:
            self._stream(_ns(query.get("since")))
        elif self.server.hung.is_set():
            self.rfile.read(1)  # until the client gives up
        else:
            since, until = _ns(query["since"]) or 0, _ns(query["until"]) or 0
            held = [one for one in self.server.ring if since <= one["timeNano"] <= until]
            if "filters" in query:
                wanted = json.loads(query["filters"])["event"]
                held = [one for one in held if one["Action"].partition(":")[0] in wanted]
            self._answer(200, b"".join(json.dumps(one).encode() + b"\n" for one in held))

    def _stream(self, since_ns: int | None) -> None:
        replay, queue = self.server.listen(since_ns)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in replay:
            self._chunk(event)
        while (event_or_end := queue.get()) is not None:
            self._chunk(event_or_end)
        self.close_connection = True

    def _chunk(self, event: dict[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        half = len(line) // 2  # a line may come in pieces
        for part in (line[:half], line[half:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _ns(seconds: str | None) -> int | None:
    return None if seconds is None else int(Decimal(seconds) * SECOND)
