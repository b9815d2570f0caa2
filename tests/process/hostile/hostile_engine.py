"""A whole engine that is none: containers, events, logs and stats on a unix socket, and any answer bent at will."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.sidecar_samples import recorded

SECOND = 1_000_000_000
PROJECT = "locust"

Bent = Callable[["Handler"], None]
Queue = SimpleQueue[bytes | None]


def box_id(number: int) -> str:
    """Make a full id; short ones differ, too."""
    return f"{number:012x}".ljust(64, "0")


@dataclass
class Box:
    """One container."""

    id: str
    service: str
    number: int
    project: str = PROJECT
    labels: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    exit_code: int = 0
    started_ns: int = field(default_factory=time.time_ns)
    lines: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.project}-{self.service}-{self.number}"

    def all_labels(self) -> dict[str, str]:
        compose = {"project": self.project, "service": self.service, "container-number": str(self.number)}
        return {**{f"com.docker.compose.{name}": value for name, value in compose.items()}, **self.labels}


class HostileEngine(socketserver.ThreadingUnixStreamServer):
    """Answers as Docker does, but for what `bent` says: by question (`stats`), or by question and container id."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boxes: dict[str, Box] = {}
        self.bent: dict[str | tuple[str, str], Bent] = {}
        self.asked: Counter[str] = Counter()
        self.cpu_ns = SECOND
        self.ring: deque[dict[str, Any]] = deque(maxlen=256)
        self._streams: list[Queue] = []
        self._logs: dict[str, list[Queue]] = {}
        self._links: set[socket.socket] = set()
        self._guard = threading.RLock()
        self.happen("create", "f" * 64, {"name": "long-before"}, ns=time.time_ns() - 3600 * SECOND)
        path.unlink(missing_ok=True)
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.hang_up()
        self.path.unlink(missing_ok=True)

    def hang_up(self) -> None:
        """Cut every connection."""
        with self._guard:
            for queue in [*self._streams, *(one for many in self._logs.values() for one in many)]:
                queue.put(None)
            for link in self._links:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            self._links.clear()

    @contextmanager
    def bending(self, what: str | tuple[str, str], answer: Bent) -> Iterator[None]:
        self.bent[what] = answer
        try:
            yield
        finally:
            self.bent.pop(what, None)

    def add(self, number: int, service: str = "locust-worker", **further: Any) -> Box:
        box = Box(box_id(number), service, number, **further)
        self.boxes[box.id] = box
        return box

    def happen(self, action: str, container_id: str, attributes: dict[str, Any], *, ns: int = 0) -> dict[str, Any]:
        ns = ns or time.time_ns()
        actor = {"ID": container_id, "Attributes": attributes}
        event = {"Type": "container", "Action": action, "Actor": actor, "time": ns // SECOND, "timeNano": ns}
        self.tell(event)
        return event

    def tell(self, event: Any) -> None:
        """Send anything at all as an event."""
        with self._guard:
            self.ring.append(event)
            for queue in self._streams:
                queue.put(json.dumps(event).encode() + b"\n")

    def restart(self, box: Box, exit_code: int = 1) -> None:
        """Let a container crash and be started again."""
        about = {"name": box.name, **box.all_labels()}
        self.happen("die", box.id, {**about, "exitCode": str(exit_code)})
        box.started_ns = time.time_ns()
        self.happen("start", box.id, about)

    def write(self, box: Box, text: bytes) -> None:
        """Let a container write one line."""
        now = datetime.now(UTC)
        message = f"{now:%Y-%m-%dT%H:%M:%S.%f}000Z ".encode() + text + b"\n"
        self.raw_log(box, b"\x01\x00\x00\x00" + len(message).to_bytes(4, "big") + message)

    def raw_log(self, box: Box, frame: bytes) -> None:
        with self._guard:
            box.lines.append(frame)
            for queue in self._logs.get(box.id, []):
                queue.put(frame)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._links.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._links.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def listen(self, since_ns: int) -> tuple[list[Any], Queue]:
        with self._guard:
            queue: Queue = SimpleQueue()
            self._streams.append(queue)
            return [one for one in self.ring if _since(one, since_ns)], queue

    def forget(self, queue: Queue) -> None:
        with self._guard:
            for queues in (self._streams, *self._logs.values()):
                if queue in queues:
                    queues.remove(queue)

    def follow(self, box: Box) -> tuple[list[bytes], Queue]:
        with self._guard:
            queue: Queue = SimpleQueue()
            self._logs.setdefault(box.id, []).append(queue)
            return list(box.lines), queue


class Handler(BaseHTTPRequestHandler):
    server: HostileEngine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        what, container_id = _question(parts)
        self.server.asked[what] += 1
        bent = self.server.bent.get((what, container_id)) or self.server.bent.get(what)
        if bent is not None:
            bent(self)
        elif what == "version":
            self.json({"ApiVersion": "1.45", "MinAPIVersion": "1.24"})
        elif what == "list":
            self.json([entry(box) for box in list(self.server.boxes.values()) if _is_wanted(box, query)])
        elif what == "events":
            self._events(query)
        elif (box := self.server.boxes.get(container_id)) is None:
            self.answer(404, b'{"message":"No such container"}')
        elif what == "inspect":
            self.json(inspected(box))
        elif what == "stats":
            self.json(self._stats())
        elif what == "logs":
            self._stream(*self.server.follow(box))
        else:
            self.answer(403, b"not allowed")

    def _stats(self) -> dict[str, Any]:
        self.server.cpu_ns += SECOND // 10
        payload: dict[str, Any] = recorded("v2/stats_one_shot")
        payload["cpu_stats"]["cpu_usage"]["total_usage"] = self.server.cpu_ns
        payload["cpu_stats"]["system_cpu_usage"] = self.server.cpu_ns * 4
        return payload

    def _events(self, query: dict[str, str]) -> None:
        since = int(Decimal(query.get("since", "inf").replace("inf", str(2**62))) * SECOND)
        if "until" in query:
            until = int(Decimal(query["until"]) * SECOND)
            held = [one for one in list(self.server.ring) if _since(one, since) and not _since(one, until + 1)]
            self.answer(200, b"".join(json.dumps(one).encode() + b"\n" for one in held))
            return
        replay, queue = self.server.listen(since)
        self._stream([json.dumps(one).encode() + b"\n" for one in replay], queue)

    def _stream(self, first: list[bytes], queue: Queue) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            for part in first:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            while (part_or_end := queue.get()) is not None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part_or_end), part_or_end))
        self.server.forget(queue)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode())

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def body(value: object, status: int = 200) -> Bent:
    """Answer with this JSON, or these bytes."""
    written = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda handler: handler.answer(status, written, "text/html")


def raw(data: bytes) -> Bent:
    """Answer with these bytes, which need not be HTTP, and hang up."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def dripping(head: bytes, drop: bytes, seconds: float) -> Bent:
    """Answer for ever, one drop at a time."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(head)
            while True:
                handler.wfile.write(drop)
                time.sleep(seconds)

    return answer


def endless(head: bytes, part: bytes) -> Bent:
    """Answer with more than any memory holds."""
    return dripping(head, part, 0)


def entry(box: Box) -> dict[str, Any]:
    """Make the list's entry of a container."""
    return {
        "Id": box.id,
        "Image": "locust:1",
        "Names": [f"/{box.name}"],
        "State": box.state,
        "Status": "Up 5 minutes (healthy)",
        "Labels": box.all_labels(),
    }


def inspected(box: Box) -> dict[str, Any]:
    """Make the inspect of a container."""
    payload: dict[str, Any] = recorded("v2/stats_running_inspect")
    payload["Id"], payload["Name"] = box.id, f"/{box.name}"
    payload["Config"]["Labels"] = box.all_labels()
    started = datetime.fromtimestamp(box.started_ns / 1e9, UTC)
    payload["State"] |= {
        "Status": box.state,
        "StartedAt": f"{started:%Y-%m-%dT%H:%M:%S.%f}Z",
        "ExitCode": box.exit_code,
    }
    return payload


def _question(parts: list[str]) -> tuple[str, str]:
    if parts[-1] in {"version", "events"}:
        return parts[-1], ""
    if parts[-2:] == ["containers", "json"]:
        return "list", ""
    return ("inspect" if parts[-1] == "json" else parts[-1]), parts[-2]


def _is_wanted(box: Box, query: dict[str, str]) -> bool:
    wanted = json.loads(query.get("filters", "{}")).get("label", [])
    return all(label == f"com.docker.compose.project={box.project}" for label in wanted)


def _since(event: Any, since_ns: int) -> bool:
    ns = event.get("timeNano") if isinstance(event, dict) else None
    return not isinstance(ns, int) or ns >= since_ns
