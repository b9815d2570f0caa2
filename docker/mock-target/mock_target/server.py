"""The server: two listeners and one handler. At its end, it does not wait for clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from mock_target.behaviours import Act, Answer, json_answer, text_answer
from mock_target.counts import CLIENT_LEFT, Counts
from mock_target.perform import perform
from mock_target.plan import plan_for
from mock_target.share import Turns

OWN = "/_mock/"
STOP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the server; `https` is None without TLS."""

    http: int
    https: int | None


class MockTarget:
    """A server on one event loop.

    Args:
        sleep: the function for delays; a test may pass its own.

    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.counts = Counts()
        self._turns = Turns()
        self._sleep = sleep
        self._listeners: list[asyncio.Server] = []
        self._server: web.Server | None = None

    async def start(self, host: str, ports: Ports, context: ssl.SSLContext | None) -> Ports:
        """Listen; return the actual ports (for 0, the system chooses them).

        Raises:
            OSError: a port is in use or not allowed.

        """
        # A client that leaves cancels its handler. Otherwise a hanging handler would stay forever.
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None, logger=_quiet_logger())
        taken = [await self._listen(host, ports.http, None)]
        if context is not None and ports.https is not None:
            taken.append(await self._listen(host, ports.https, context))
        return Ports(taken[0], taken[1] if len(taken) > 1 else None)

    async def stop(self) -> None:
        """Close everything, including hanging connections, within a second."""
        for listener in self._listeners:
            listener.close()
        if self._server is not None:
            await self._server.shutdown(timeout=STOP_SECONDS)

    async def _listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        if self._server is None:
            raise RuntimeError("listen before start")
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._server, host, port, ssl=context, backlog=1024)
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        if target.startswith(OWN):
            return await perform(self._own(request.method, target), request, lambda _status: None, self.counts)
        plan = plan_for(target)
        act = plan.act(self._turns.take(target)) if plan.needs_turn else plan.acts[0]
        return await self._act(plan.path, act, request)

    async def _act(self, path: str, act: Act, request: web.BaseRequest) -> web.StreamResponse:
        counted = False

        def done(status: int | None) -> None:
            nonlocal counted
            counted = True
            self.counts.record(path, act.name, status)

        try:
            if act.delay_seconds:
                await self._sleep(act.delay_seconds)
            return await perform(act.behaviour, request, done, self.counts)
        except (asyncio.CancelledError, ConnectionError):
            if not counted:
                self.counts.record(path, CLIENT_LEFT, None)
            raise

    def _own(self, method: str, target: str) -> Answer:
        match method, target:
            case "GET", "/_mock/health":
                return text_answer("ok")
            case "GET", "/_mock/counts":
                return json_answer(self.counts.document())
            case "POST", "/_mock/reset":
                self.counts.reset()
                self._turns.reset()
                return json_answer(self.counts.document())
        return text_answer("expected: GET /_mock/health, GET /_mock/counts or POST /_mock/reset", 404)


def _quiet_logger() -> logging.Logger:
    """Return a logger without tracebacks, because broken requests are normal for this server."""
    logger = logging.getLogger("mock_target")
    logger.setLevel(logging.CRITICAL)
    return logger


def ready_line(ports: Ports) -> str:
    """Return the ready line for standard output: the ports of the server, as JSON."""
    return json.dumps({"http_port": ports.http, "https_port": ports.https})


async def serve(host: str, ports: Ports, context: ssl.SSLContext | None, stop: asyncio.Event) -> None:
    """Run until `stop` is set; print the ready line as soon as it listens."""
    target = MockTarget()
    try:
        print(ready_line(await target.start(host, ports, context)), flush=True)
        await stop.wait()
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(target.stop(), timeout=3 * STOP_SECONDS)
