"""Check requests and add safe headers to every answer: allowed hosts, and in a cluster its token.

Swarm publishes a port on every address of a node. So other machines reach the page, unlike under Compose.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.cluster.member import NodeStatusPublisher
from sidecar.cluster.peer_client import LEADER_HEADER
from sidecar.common.web_guard import LOGIN, LOGIN_HEADERS, WebGuard
from sidecar.monitor.board import Board
from sidecar.serve.requests import UNAVAILABLE, Parameters, problem, record_answer

COOKIE = "locust_kit_token"
_UNAUTHORIZED = 401
_OPEN = frozenset({"/healthz"})
_COOKIE_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ClusterAuth:
    """This node's report for the leader, and the token that every request needs."""

    publisher: NodeStatusPublisher
    token: str = field(repr=False)


def node_route(publisher: NodeStatusPublisher, board: Board) -> Route:
    """Return the route /api/node."""

    async def answer(request: Request) -> Response:
        asked = Parameters(request.query_params, ("mark",))
        mark = asked.whole("mark", 0, 1 << 53, least=0) if "mark" in request.query_params else None
        if leader := request.headers.get(LEADER_HEADER, "")[:255]:
            publisher.asked_by(leader)
        report = publisher.report(board.incidents_since(mark), leader)
        return problem(UNAVAILABLE, "the monitor has no readings yet") if report is None else record_answer(report)

    return Route("/api/node", answer)


class TokenGuard:
    """ASGI middleware: a request needs the token as a bearer token, or as the cookie that `/?token=…` sets."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if scope["path"] == "/" and self._is_right(request.query_params.get("token", "")):
            await self._let_in(request)(scope, receive, send)
        elif self._may_enter(request):
            await self._app(scope, receive, send)
        else:
            text = "this monitor needs its cluster's token: `make swarm-monitor` prints a link with the token"
            await problem(_UNAUTHORIZED, text)(scope, receive, send)

    def _let_in(self, request: Request) -> Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]:
        """Move the token into a cookie, out of the address bar, the history and the logs."""
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            COOKIE, request.query_params["token"], max_age=_COOKIE_SECONDS, httponly=True, samesite="strict"
        )
        return answer

    def _may_enter(self, request: Request) -> bool:
        kind, _, given = Headers(scope=request.scope).get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._is_right(given.strip())
        return self._is_right(request.cookies.get(COOKIE, ""))

    def _is_right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)


class PageGuard:
    """ASGI middleware: the rules of web_guard.py, which Locust's own page has too."""

    def __init__(self, app: ASGIApp, guard: WebGuard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        refused = None
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refused = self._guard.refusal(scope["method"], scope["path"], lambda name: headers.get(name, ""))
        if refused is None:
            await self._app(scope, receive, send)
            return
        answer = problem(*refused)
        if refused[0] == LOGIN:
            answer.headers.update(LOGIN_HEADERS)
        await answer(scope, receive, send)


_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class SafeHeaders:
    """ASGI middleware that adds the headers to every answer. It buffers nothing, so streams pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
