"""The routes of the monitor, and its stream: the whole state on connect, then each change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from sidecar.client.documents import Recording, without_evidence
from sidecar.common.web_guard import WebGuard
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.model import document
from sidecar.model.incident import Incident
from sidecar.model.incident_kinds import KINDS
from sidecar.model.snapshot import Snapshot
from sidecar.monitor.board import Board
from sidecar.report.runs.reports import Reports
from sidecar.serve.api import Api, Note, Runs
from sidecar.serve.auth import ClusterAuth, PageGuard, SafeHeaders, TokenGuard, node_route
from sidecar.serve.requests import EXCEPTION_HANDLERS, UNAVAILABLE, Parameters, json_answer, problem
from sidecar.views.metrics import CONTENT_TYPE

# The interval of comment lines: they show both ends, and any proxy between them, that the stream is alive.
_KEEP_ALIVE_SECONDS = 15.0
_RETRY_MILLISECONDS = 1000  # a browser's own pause before it connects again is three to five seconds


async def events(
    board: Board, stopping: asyncio.Event, written: Callable[[Incident], bytes] | None = None
) -> AsyncIterator[bytes]:
    """Yield the state at once and after each change; a reader that connects late misses nothing.

    `snapshot` is the whole Snapshot. `incident` is one new or changed incident without its evidence
    (/api/incidents/ID has it; `written` makes the event once for many readers). `reload` means that this reader was too
    slow and must read /api/incidents again.
    """
    written = written or Written()
    yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
    mark = board.incidents_since(None).mark
    seen, sent = -1, None
    while not stopping.is_set():
        if board.version == seen:
            try:
                await asyncio.wait_for(board.changed(seen), _KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b": still here\n\n"
            continue
        seen = board.version
        news, snapshot = board.incidents_since(mark), board.json()
        mark = news.mark
        if not news.complete:
            yield event("reload", b"{}")
        for incident in news.incidents:
            yield written(incident)
        if snapshot is not None and snapshot is not sent:  # a new incident alone does not send the whole Snapshot again
            sent = snapshot
            yield event("snapshot", snapshot)


class Written:
    """Incidents as events, each written once for all readers: else a storm with many readers would stop all other work.

    For one event loop.
    """

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._kept: dict[
            int, tuple[Incident, bytes]
        ] = {}  # by identity; the incident is held, so that its id stays its

    def __call__(self, incident: Incident) -> bytes:
        """Return the event."""
        kept = self._kept.get(id(incident))
        if kept is None:
            kept = (incident, event("incident", document.dumps(without_evidence(incident))))
            self._kept[id(incident)] = kept
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        return kept[1]


def event(name: str, data: bytes) -> bytes:
    """Write one event. The data is one line, like all documents of the API."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


STATIC = Path(__file__).parent / "static"

_KINDS_PLACE = '<script id="incident-kinds" type="application/json">{}</script>'

MOST_STREAMS = 64  # open at once; each page and each terminal has one

_NOT_YET = "the monitor has no readings yet"

# Writes Prometheus's text about the newest Snapshot, None before the first, and with or without locust_exporter's
# unsound name (`legacy`): views.metrics with all else bound to it.
Metrics = Callable[[Snapshot | None, bool], str]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]

_OPEN_PAGE = WebGuard(())


def make_app(  # noqa: PLR0913  each is one part of the sidecar, given by name
    board: Board,
    stopping: asyncio.Event,
    lifespan: Lifespan | None = None,
    *,
    archive: LedgerArchive | None = None,
    metrics: Metrics | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    problems: Callable[[], Sequence[str]] = lambda: (),
    recording: Callable[[], Recording] = Recording,
    note: Note | None = None,
    reports: Reports | None = None,
    cluster: ClusterAuth | None = None,
    guard: WebGuard = _OPEN_PAGE,
) -> Starlette:
    """Build the application.

    Args:
        board: the current state.
        stopping: ends the open streams when it is set and the board is closed.
        lifespan: the tasks beside the server.
        archive: the past; without an archive its routes answer 503.
        metrics: writes Prometheus's text; without it, there is no route /metrics.
        clock: the current time, in UTC.
        problems: a sentence for each part of the monitor that does not work.
        recording: whether incidents can be recorded, and up to when they are.
        note: puts a person's note on an incident soon; without it, that route answers 503.
        reports: the reports of runs; without them, there are no routes for runs.
        cluster: this node's report for the leader, and the token that every request then needs.
        guard: refuses foreign requests; in a cluster the token replaces it.
    """
    present = _Present(board, stopping, problems, recording, metrics)
    routes = [
        Route("/", _page),
        Route("/healthz", present.healthz),
        Route("/api/snapshot", present.snapshot),
        Route("/api/stream", present.stream),
        *Api(board, archive, clock, note, recording).routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    if reports is not None:
        routes += Runs(reports).routes()
    if metrics is not None:
        routes.append(Route("/metrics", present.metrics))
    if cluster is not None:
        routes.append(node_route(cluster.publisher, board))
    around = [Middleware(SafeHeaders), _guard(cluster, guard)]
    return Starlette(routes=routes, middleware=around, exception_handlers=EXCEPTION_HANDLERS, lifespan=lifespan)


def _guard(cluster: ClusterAuth | None, guard: WebGuard) -> Middleware:
    if cluster is not None:
        return Middleware(TokenGuard, token=cluster.token)  # published on every address of its node
    return Middleware(PageGuard, guard=guard)


async def _page(_: Request) -> Response:
    return HTMLResponse(page_with_kinds((STATIC / "index.html").read_text(encoding="utf-8")))


def page_with_kinds(html: str) -> str:
    """Write the kinds of incidents, with their names, into the page, which keeps no copy."""
    kinds = {kind: {"label": traits.label, "lasts": traits.lasts} for kind, traits in KINDS.items()}
    return html.replace(_KINDS_PLACE.format("{}"), _KINDS_PLACE.format(json.dumps(kinds, separators=(",", ":"))))


class _Stream(StreamingResponse):
    """A stream that is in `streams` from its admission, before anything is awaited, until its reader has left."""

    def __init__(self, parts: AsyncIterator[bytes], streams: set[Response]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(parts, media_type="text/event-stream", headers=headers)
        self._streams = streams
        streams.add(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.remove(self)


@dataclass
class _Present:
    """The routes that need only the board."""

    board: Board
    stopping: asyncio.Event
    problems: Callable[[], Sequence[str]]
    recording: Callable[[], Recording]
    write_metrics: Metrics | None
    _written: Written = field(default_factory=Written)
    _streams: set[Response] = field(default_factory=set)

    async def snapshot(self, _: Request) -> Response:
        document = self.board.json()
        return problem(UNAVAILABLE, _NOT_YET) if document is None else json_answer(document)

    async def stream(self, _: Request) -> Response:
        if len(self._streams) >= MOST_STREAMS:
            return problem(UNAVAILABLE, f"{MOST_STREAMS} streams are open already; close some, or use /api/snapshot")
        return _Stream(events(self.board, self.stopping, self._written), self._streams)

    async def healthz(self, _: Request) -> Response:
        passed = self.board.passed()
        recording = json.loads(document.dumps(self.recording()))
        answer = {"schema_version": 1, "passed": passed, "troubles": list(self.problems()), "recording": recording}
        return JSONResponse(answer, status_code=200 if passed else UNAVAILABLE)

    async def metrics(self, request: Request) -> Response:
        legacy = Parameters(request.query_params, ("legacy",)).flag("legacy", default=False)
        # Made in a thread: it may count in the ledger, and sixty containers are a thousand lines.
        text = await asyncio.to_thread(self.write_metrics, self.board.current(), legacy) if self.write_metrics else ""
        return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})
