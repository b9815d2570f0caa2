"""The filter between HAProxy and the engine's socket: it knows projects and answers, which HAProxy does not.

HAProxy (haproxy.cfg) accepts requests, and passes only GETs of a monitor's paths. This process builds each request to
the engine from checked values only. It cuts lists, events and inspects to the fields that a monitor reads.
Inspects, logs and statistics are for containers of the watched projects only (PROJECT and WATCH_PROJECT).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

ENGINE = "/var/run/docker.sock"
OWN_SOCKET = "/tmp/filter.sock"  # noqa: S108  HAProxy's way in: in this container's tmpfs, which nobody else mounts
HAPROXY = ("haproxy", "-db", "-f", "/etc/docker-proxy/haproxy.cfg")

PROJECT, STACK = "com.docker.compose.project", "com.docker.stack.namespace"
NUMBER, SWARM_SERVICE = "com.docker.compose.container-number", "com.docker.swarm.service.name"
# What sidecar/engine/labels.py reads to name the owner of a container. No other label crosses.
LABELS = frozenset(
    {PROJECT, NUMBER, STACK, SWARM_SERVICE, "com.docker.compose.service", "com.docker.compose.oneoff"}
    | {"com.docker.swarm.task.name", "io.locust-kit.role"}
)
LISTED = ("Image", "State", "Status")  # of a watched container, beside id, names and labels
INSPECTED: Mapping[str, tuple[str, ...]] = {
    "State": ("Status", "StartedAt", "FinishedAt", "ExitCode", "OOMKilled"),
    "HostConfig": ("Memory", "NanoCpus", "CpuQuota", "CpuPeriod"),
    "Config": ("Hostname", "Tty"),
}

_MOST_BYTES = 8 << 20  # of a list; the monitor reads no longer one
_MOST_LINE_BYTES = 1 << 20  # of an event; a longer one is left out
_MOST_IDS = 4096
_PART_BYTES = 1 << 16
_MOST_IDLE = 8
_OK = 200
_REFUSALS = (400, 404, 409, 500)

_TARGET = re.compile(
    r"(?:/version|/(?P<version>v1\.[0-9]{1,3})/(?P<subject>version|events|containers/json"
    r"|containers/(?P<id>[0-9a-f]{64})/(?P<part>json|logs|stats)))(?:\?(?P<query>[!-~]*))?"
)
_FLAG, _NO = r"|0|1|[Tt]rue|[Ff]alse", r"|0|[Ff]alse"
_MOMENT = r"[0-9]{1,12}(\.[0-9]{1,9})?"
_QUERIES: Mapping[str, Mapping[str, str]] = {
    "containers/json": {"all": _FLAG, "limit": "-1|0", "size": _NO, "trunc_cmd": _FLAG, "filters": ".*"},
    "events": {"since": _MOMENT, "until": _MOMENT, "filters": ".*"},
    "logs": {
        **dict.fromkeys(("stdout", "stderr", "timestamps", "follow"), _FLAG),
        "since": _MOMENT,
        "until": _MOMENT,
        "tail": "all|[0-9]{1,9}",
    },
    "stats": {"stream": _FLAG, "one-shot": _FLAG},
}

Json = dict[str, Any]


class RefusedError(Exception):
    """The answer is this status, with one line of text."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(text)


class Asked(NamedTuple):
    """One checked request: `target` is what the engine receives."""

    version: str
    subject: str  # version, events, containers/json, json, logs, stats
    container_id: str
    target: str
    is_bounded: bool  # the engine's answer has an end


def checked(head: bytes, watched: frozenset[str]) -> Asked:
    """Check a request, and build the engine's from its values.

    Raises:
        RefusedError: it is not one of a monitor's requests.
    """
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target, _, protocol = rest.rpartition(" ")
    match = _TARGET.fullmatch(target)
    if method != "GET" or not protocol.startswith("HTTP/1.") or not match:
        raise RefusedError(403, f"{method[:20]} {target[:200]} is not among the GETs of a monitor")
    subject = match["part"] or match["subject"] or "version"
    values = _values(subject, match["query"] or "", watched)
    path = f"/{match['version']}/{match['subject']}" if match["version"] else "/version"
    unbounded = {
        "events": "until" not in values,
        "logs": _is_on(values.get("follow")),
        "stats": _is_on(values.get("stream", "1")),
    }
    query = f"?{urlencode(values)}" if values else ""
    return Asked(match["version"] or "", subject, match["id"] or "", path + query, not unbounded.get(subject, False))


def _is_on(flag: str | None) -> bool:
    return flag not in (None, "", "0", "false", "False")


def _values(subject: str, query: str, watched: frozenset[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=8)
    except ValueError:
        raise RefusedError(403, f"the query of {subject} is not name=value") from None
    values, allowed = dict(pairs), _QUERIES.get(subject, {})
    for name, value in values.items():
        if name not in allowed or not re.fullmatch(allowed[name], value, re.ASCII):
            raise RefusedError(403, f"{name[:40]}={value[:80]} of {subject} is not a monitor's")
    if len(values) != len(pairs):
        raise RefusedError(403, f"a parameter of {subject} comes twice")
    if "filters" in values:
        values["filters"] = _filters(subject, values["filters"], watched)
    return values


def _filters(subject: str, text: str, watched: frozenset[str]) -> str:
    """Check filters and write them again. Any other filter would answer guesses about other projects' containers."""
    with suppress(ValueError, RecursionError):
        filters = json.loads(text)
        if subject == "events":
            allowed: Mapping[str, Callable[[str], bool]] = {
                "type": lambda value: value == "container",
                "event": lambda value: re.fullmatch("[a-z_]+", value) is not None,
            }
        else:
            labels = {f"{label}={project}" for label in (PROJECT, STACK) for project in watched}
            allowed = {"label": labels.__contains__}
        if isinstance(filters, dict) and all(
            key in allowed
            and isinstance(entries, list)
            and all(isinstance(entry, str) and allowed[key](entry) for entry in entries)
            for key, entries in filters.items()
        ):
            return json.dumps(filters)
    raise RefusedError(403, f"filters={text[:120]} of {subject} are not a monitor's")


def project_of(labels: object) -> str | None:
    """Return the project of a container. It inherits its image's labels, so one label alone makes no member."""
    if not isinstance(labels, dict):
        return None
    if SWARM_SERVICE in labels:
        return labels.get(STACK)
    return labels.get(PROJECT) if NUMBER in labels else None


def _some(document: object, names: tuple[str, ...] | frozenset[str]) -> Json:
    return {name: document[name] for name in names if name in document} if isinstance(document, dict) else {}


def cut_entry(entry: Json, watched: frozenset[str]) -> Json:
    """Cut a list's entry: of another project's container, only id, names and the labels of its owner."""
    more = LISTED if project_of(entry.get("Labels")) in watched else ()
    return {**_some(entry, ("Id", "Names", *more)), "Labels": _some(entry.get("Labels"), LABELS)}


def cut_inspect(document: Json) -> Json:
    """Cut an inspect to the fields that the monitor reads: no environment, no mounts, no arguments."""
    parts = {part: _some(document.get(part), names) for part, names in INSPECTED.items()}
    parts["Config"]["Labels"] = _some((document.get("Config") or {}).get("Labels"), LABELS)
    return {**_some(document, ("Id", "Name", "RestartCount")), **parts}


def cut_event(line: bytes) -> bytes:
    """Cut an event to its time, and a container's to action, id, name, owner and exit. Empty if it is no event."""
    event = json.loads(line) if line.strip() else None
    if not isinstance(event, dict):
        return b""
    cut = _some(event, ("Type", "time", "timeNano"))
    if event.get("Type") == "container":
        action, colon, status = str(event.get("Action")).partition(":")  # exec_start: and the command
        cut["Action"] = action + colon + status if action == "health_status" else action
        actor = event.get("Actor") or {}
        attributes = _some(actor.get("Attributes"), LABELS | {"name", "exitCode", "signal"})
        cut["Actor"] = {**_some(actor, ("ID",)), "Attributes": attributes}
    return json.dumps(cut, separators=(",", ":")).encode() + b"\n"


class Link:
    """A connection to the engine, for one request after the other. `head` is that of the last answer, as it came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head, self.status = b"", 0

    async def ask(self, target: str, connection: str) -> None:
        """Send a request, and read the head of its answer."""
        request = f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: {connection}\r\n\r\n"
        self.writer.write(request.encode("ascii"))
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        self.status = int(self.head.split(b" ", 2)[1])

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. An answer that stops before its end is an error."""
        lowered = self.head.lower()
        if b"\r\ntransfer-encoding: chunked\r\n" in lowered:
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        elif length := re.search(rb"\r\ncontent-length: ([0-9]+)\r\n", lowered):
            yield await self.reader.readexactly(int(length[1]))
        else:
            raise ValueError("an answer without a length")

    async def body(self) -> bytes:
        """Return the whole body."""
        body = bytearray()
        async for part in self.parts():
            body += part
            if len(body) > _MOST_BYTES:
                raise RefusedError(502, f"the engine's answer has more than {_MOST_BYTES >> 20} MiB")
        return bytes(body)


class Filter:
    """Answers HAProxy's requests.

    Args:
        engine: the path of the engine's socket.
        watched: the names of the projects.
    """

    def __init__(self, engine: str, watched: frozenset[str]) -> None:
        self._engine, self._watched = engine, watched
        self._is_ours: dict[str, bool] = {}  # by full id: a container never changes its labels
        self._idle: list[Link] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other. A stream is the last one, and ends when either side leaves."""
        try:
            while True:
                asked = checked(await reader.readuntil(b"\r\n\r\n"), self._watched)
                if not asked.is_bounded:
                    break
                writer.write(await self._bounded(asked))
            left = asyncio.ensure_future(reader.read(1))  # HAProxy sends no body, so this is the end
            answer = asyncio.ensure_future(self._stream(asked, writer))
            await asyncio.wait((left, answer), return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            answer.cancel()
            await answer
        except RefusedError as error:
            writer.write(_plain(error.status, error.text))
        except (FileNotFoundError, ConnectionRefusedError, PermissionError):
            writer.write(_plain(503, "the engine does not answer on its socket"))
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # a side left. HAProxy reports an answer that ends too early
        finally:
            writer.close()

    async def _bounded(self, asked: Asked) -> bytes:
        if asked.subject in ("logs", "stats"):
            await self._need_ours(asked)
        status, body = await self._get(asked.target)
        if status != _OK:
            raise RefusedError(status if status in _REFUSALS else 502, _reason(body))
        if asked.subject == "events":
            body = b"".join(map(cut_event, body.split(b"\n")))
        elif asked.subject in ("json", "containers/json"):
            body = json.dumps(self._cut(asked, json.loads(body)), separators=(",", ":")).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def _stream(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.subject != "events":
            await self._need_ours(asked)
        link = await self._connected()
        try:
            await link.ask(asked.target, "close")
            if asked.subject == "events" and link.status == _OK:
                await _pass_events(link, writer)
            else:
                await _pump(link, writer)
        finally:
            link.writer.close()

    async def _get(self, target: str) -> tuple[int, bytes]:
        """Return status and body of a bounded answer."""
        link = await self._answered(target)
        try:
            body = await link.body()
        except BaseException:
            link.writer.close()
            raise
        if b"\r\nconnection: close\r\n" in link.head.lower() or len(self._idle) >= _MOST_IDLE:
            link.writer.close()
        else:
            self._idle.append(link)
        return link.status, body

    async def _answered(self, target: str) -> Link:
        while True:
            is_reused = bool(self._idle)
            link = self._idle.pop() if is_reused else await self._connected()
            try:
                await link.ask(target, "keep-alive")
            except BaseException as error:
                link.writer.close()
                if not (is_reused and isinstance(error, (OSError, EOFError))):
                    raise  # the engine may close an idle connection at any time; a GET can be sent again
            else:
                return link

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().writer.close()

    async def _connected(self) -> Link:
        return Link(*await asyncio.open_unix_connection(self._engine))

    def _cut(self, asked: Asked, document: Any) -> object:  # noqa: ANN401  the engine's JSON
        if asked.subject == "containers/json":
            return [cut_entry(entry, self._watched) for entry in document or ()]
        self._judge(asked.container_id, document)
        return cut_inspect(document)

    async def _need_ours(self, asked: Asked) -> None:
        if asked.container_id in self._is_ours:
            self._judge(asked.container_id, None)
            return
        status, body = await self._get(f"/{asked.version}/containers/{asked.container_id}/json")
        if status != _OK:
            raise RefusedError(status if status in _REFUSALS else 502, _reason(body))
        self._judge(asked.container_id, json.loads(body))

    def _judge(self, container_id: str, inspected: Json | None) -> None:
        """Raise RefusedError unless the container is of a watched project. The engine also takes a name for an id."""
        if inspected is not None:
            if inspected.get("Id") != container_id:
                raise RefusedError(404, f"no such container: {container_id}")
            if len(self._is_ours) >= _MOST_IDS:
                self._is_ours.clear()
            labels = (inspected.get("Config") or {}).get("Labels")
            self._is_ours[container_id] = project_of(labels) in self._watched
        if not self._is_ours[container_id]:
            projects = ", ".join(sorted(self._watched))
            raise RefusedError(403, f"container {container_id[:12]} is not of a watched project ({projects})")


async def _pump(link: Link, writer: asyncio.StreamWriter) -> None:
    """Pass an answer on unchanged, until the engine closes the connection."""
    writer.write(link.head)
    while part := await link.reader.read(_PART_BYTES):
        writer.write(part)
        await writer.drain()


async def _pass_events(link: Link, writer: asyncio.StreamWriter) -> None:
    """Pass events on, cut, each as soon as it comes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    rest = b""
    async for part in link.parts():
        *lines, rest = (rest + part).split(b"\n")
        cut = b"".join(cut_event(line) for line in lines)
        if cut:
            writer.write(b"%x\r\n%b\r\n" % (len(cut), cut))
            await writer.drain()
        if len(rest) > _MOST_LINE_BYTES:
            raise ValueError("an event without an end")
    writer.write(b"0\r\n\r\n")


def _reason(body: bytes) -> str:
    """Return the engine's own sentence about a refusal."""
    with suppress(ValueError, RecursionError, AttributeError):
        return str(json.loads(body).get("message"))[:200]
    return "the engine refuses"


def _plain(status: int, text: str) -> bytes:
    refused = "refused: " if status == HTTPStatus.FORBIDDEN else ""
    body = f"docker-proxy: {refused}{text}\n".encode("ascii", "replace")
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain"
    return head.encode("ascii") + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def run(watched: frozenset[str]) -> int:
    """Serve until SIGTERM (0), or until HAProxy ends (1)."""
    os.umask(0o077)
    with suppress(FileNotFoundError):
        os.unlink(OWN_SOCKET)  # noqa: PTH108  pathlib is slow to import
    await asyncio.start_unix_server(Filter(ENGINE, watched).serve, OWN_SOCKET, limit=_MOST_LINE_BYTES, backlog=400)
    haproxy = await asyncio.create_subprocess_exec(*HAPROXY)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ended, stopped = asyncio.ensure_future(haproxy.wait()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        return 1
    # SIGTERM ends HAProxy at once. SIGUSR1 waits for open streams, and its master mode logs each stop as an alert.
    with suppress(ProcessLookupError):
        haproxy.terminate()
    await ended
    return 0


def main() -> int:
    """Read the settings, and serve."""
    project, watched = os.environ.get("PROJECT", ""), os.environ.get("WATCH_PROJECT", "")
    if not project:
        print("docker-proxy: PROJECT is empty; expected: the name of the project to watch", file=sys.stderr)
        return 2
    return asyncio.run(run(frozenset(filter(None, (project, watched)))))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # open streams must not delay the end
