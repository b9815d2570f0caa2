"""The routes of the sidecar."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sidecar.serve.headers import ALLOWED_HOSTS, SafeHeaders
from sidecar.watch.board import Board

STATIC = Path(__file__).parent / "static"

_KEEP_ALIVE_SECONDS = (
    15.0  # a comment line this often tells both ends, and any proxy between them, that the stream lives
)
_NOT_YET = 503

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def make_app(board: Board, stopping: asyncio.Event, lifespan: Lifespan | None = None) -> Starlette:
    """Build the application over a board; streams end when `stopping` is set and the board closed."""

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", media_type="text/html")

    async def snapshot(_: Request) -> Response:
        return _json_answer(board)

    async def stream(_: Request) -> Response:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_events(board, stopping), media_type="text/event-stream", headers=headers)

    async def healthz(_: Request) -> Response:
        passed = board.passed()
        return JSONResponse({"schema_version": 1, "passed": passed}, status_code=200 if passed else _NOT_YET)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", healthz),
            Route("/api/snapshot", snapshot),
            Route("/api/stream", stream),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(SafeHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS, www_redirect=False),
        ],
        lifespan=lifespan,
    )


def _json_answer(board: Board) -> Response:
    document = board.json()
    if document is None:
        return JSONResponse({"schema_version": 1, "error": "the first readings are not in yet"}, status_code=_NOT_YET)
    return Response(document, media_type="application/json", headers={"cache-control": "no-store"})


async def _events(board: Board, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield the whole state at once and after each change; a reader that connects late misses nothing."""
    seen = -1
    while not stopping.is_set():
        if board.version != seen:
            seen = board.version
            if (document := board.json()) is not None:
                yield b"event: snapshot\ndata: " + document + b"\n\n"
            continue
        try:
            await asyncio.wait_for(board.changed(seen), _KEEP_ALIVE_SECONDS)
        except TimeoutError:
            yield b": still here\n\n"
