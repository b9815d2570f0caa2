"""A server that answers what Locust's examples ask for, over HTTP and HTTPS, and counts it."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

FORM = '<form action="/sign-in"><input name="authenticity_token" type="hidden" value="abc"></form>'
CONTENTS = '<div class="toctree-wrapper"><a class="internal" href="/guide">guide</a></div>Locust'
MISSING = ("/does_not_exist", "/error")


class Target:
    """One server; `asked` has the number of requests by path, without their query."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext) -> None:
        self._loop, self._context = loop, context
        self.asked: Counter[str] = Counter()
        self.ports: list[int] = []

    async def start(self) -> None:
        """Listen: first HTTP, then HTTPS."""
        runner = web.ServerRunner(web.Server(self._answer), handle_signals=False)
        await runner.setup()
        for context in (None, self._context):
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
        self.ports = [address[1] for address in runner.addresses]
        self._runner = runner

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked[request.path] += 1
        text = await request.text()
        headers = {"X-Cache": request.query["X-Cache"]} if "X-Cache" in request.query else {}
        if request.path in MISSING:
            return web.Response(status=404, headers=headers)
        if request.path == "/sign-in" and request.method == "POST":
            return web.Response(status=302, headers={"Location": "/welcome"})
        if request.path == "/sign-in":
            return web.Response(text=FORM, content_type="text/html")
        if request.path in ("/get", "/post"):
            data = json.loads(text) if text.startswith("{") else text
            return web.json_response({"args": data if request.path == "/get" else {}, "data": data})
        if request.path == "/v1/responses":
            return web.json_response(RESPONSE)
        return web.Response(text=CONTENTS, content_type="text/html", headers=headers)


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 0,
    "model": "gpt-4o",
    "output": [],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    },
}


@contextmanager
def serving(context: ssl.SSLContext, number: int) -> Iterator[list[Target]]:
    """So many targets, in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    targets = [Target(loop, context) for _ in range(number)]
    try:
        for target in targets:
            asyncio.run_coroutine_threadsafe(target.start(), loop).result(30)
        yield targets
        for target in targets:
            asyncio.run_coroutine_threadsafe(target.stop(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
