"""The behaviour of each path, with its parameters. GET / prints the same table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mock_target.behaviours import HTML, JSON, OK, Act, Answer, Echo, Hang, Reset, Stream, Truncate, json_answer
from mock_target.query import BadParameterError, Query

LONGEST_MS = 600_000
MEGABYTE = 1_000_000
SLOW_MS = 1_000

Build = Callable[[str, Query], tuple[Act, ...]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path, or a prefix of paths if it ends in `/`.

    `build` gets the rest after the prefix, and the parameters. Its acts are used in turn.
    """

    path: str
    usage: str
    does: str
    build: Build


def _delay(query: Query, default: int = 0) -> float:
    return query.whole("ms", default=default, least=0, most=LONGEST_MS) / 1000


def _health(_rest: str, query: Query) -> tuple[Act, ...]:
    return (Act("ok", json_answer({"status": "ok", "success": True}), _delay(query)),)


def _data(_rest: str, query: Query) -> tuple[Act, ...]:
    items = [{"id": number, "name": f"item {number}"} for number in range(1, 11)]
    return (Act("ok", json_answer({"success": True, "data": items}), _delay(query)),)


def _might_fail(_rest: str, query: Query) -> tuple[Act, ...]:
    slow = Act("slow", OK.behaviour, _delay(query, SLOW_MS))
    failed = _failed(500)
    return (OK, OK, failed, OK, OK, OK, slow, OK, OK, OK)


def _large(_rest: str, query: Query) -> tuple[Act, ...]:
    size = query.whole("mb", default=5, least=1, most=1024) * MEGABYTE
    return (Act("stream", Stream(size), _delay(query)),)


def _tolerant(build: Build) -> Build:
    """Accept any other parameter, for paths that people's own locustfiles request."""

    def built(rest: str, query: Query) -> tuple[Act, ...]:
        acts = build(rest, query)
        query.ignore_rest()
        return acts

    return built


def _fast(_rest: str, query: Query) -> tuple[Act, ...]:
    return (Act("ok", OK.behaviour, _delay(query)),)


def _slow(_rest: str, query: Query) -> tuple[Act, ...]:
    return (Act("slow", OK.behaviour, _delay(query, SLOW_MS)),)


def _status(rest: str, query: Query) -> tuple[Act, ...]:
    if not (rest.isascii() and rest.isdecimal() and len(rest) == 3 and 200 <= int(rest) <= 599):  # noqa: PLR2004 - HTTP's own
        raise BadParameterError(f"status is '{rest}'; expected: a number from 200 to 599, as in /status/503")
    return (_failed(int(rest), _delay(query)),)


def _failed(status: int, delay_seconds: float = 0.0) -> Act:
    good = status < 400  # noqa: PLR2004 - where HTTP's errors begin
    document = {"success": good} if good else {"success": False, "error": f"status {status}, as asked"}
    return Act("status", json_answer(document, status), delay_seconds)


WRONG = {
    "json": Answer(200, JSON, b'{"success": tru'),
    "success": json_answer({"success": False, "error": "wrong, as asked"}),
    "html": Answer(200, HTML, b"<!doctype html><title>Sign in</title><h1>Sign in</h1>\n"),
    "empty": Answer(200, JSON, b""),
}


def _wrong(rest: str, query: Query) -> tuple[Act, ...]:
    if rest not in WRONG:
        raise BadParameterError(f"wrong is '{rest}'; expected: {' or '.join(WRONG)}, as in /wrong/json")
    return (Act("wrong", WRONG[rest], _delay(query)),)


def _hang(_rest: str, query: Query) -> tuple[Act, ...]:
    after = query.choice("after", ("nothing", "body"))
    return (Act("hang", Hang("body" if after == "body" else "nothing"), _delay(query)),)


def _reset(_rest: str, query: Query) -> tuple[Act, ...]:
    after = query.choice("after", ("nothing", "body"))
    return (Act("reset", Reset("body" if after == "body" else "nothing"), _delay(query)),)


def _truncate(_rest: str, query: Query) -> tuple[Act, ...]:
    promised = query.whole("bytes", default=1000, least=2, most=10 * MEGABYTE)
    return (Act("truncate", Truncate(promised), _delay(query)),)


def _close(_rest: str, query: Query) -> tuple[Act, ...]:
    return (Act("close", Reset("nothing", is_rude=False), _delay(query)),)


def _redirect(_rest: str, query: Query) -> tuple[Act, ...]:
    times = query.whole("times", default=1, least=1, most=100)
    location = f"/redirect?times={times - 1}" if times > 1 else "/fast"
    return (Act("redirect", Answer(302, location=location), _delay(query)),)


def _redirect_loop(_rest: str, query: Query) -> tuple[Act, ...]:
    status = query.choice("status", ("302", "301", "303", "307", "308"))
    again = Answer(int(status), location=f"/redirect-loop?status={status}")
    return (Act("redirect", again, _delay(query)),)


def _echo(_rest: str, query: Query) -> tuple[Act, ...]:
    delay = _delay(query)
    query.ignore_rest()
    return (Act("echo", Echo(), delay),)


ROUTES = (
    Route("/api/health", "/api/health", 'JSON, "success": true', _tolerant(_health)),
    Route("/api/data", "/api/data", 'JSON, "success": true and ten items under "data"', _tolerant(_data)),
    Route(
        "/api/might-fail",
        "/api/might-fail?ms=1000",
        "of 10 requests, the 3rd is a 500, the 7th takes ms",
        _tolerant(_might_fail),
    ),
    Route("/large-data", "/large-data?mb=5", "mb million bytes, in pieces", _tolerant(_large)),
    Route("/fast", "/fast", "a small JSON answer at once", _fast),
    Route("/slow", "/slow?ms=1000", "a small JSON answer after ms", _slow),
    Route("/status/", "/status/503", "any status from 200 to 599", _status),
    Route("/wrong/", "/wrong/json|success|html|empty", "a 200 with a wrong body", _wrong),
    Route("/hang", "/hang?after=nothing|body", "silence on an open connection", _hang),
    Route("/reset", "/reset?after=nothing|body", "a TCP reset", _reset),
    Route("/truncate", "/truncate?bytes=1000", "half of the bytes in Content-Length, then the end", _truncate),
    Route("/close", "/close", "the connection is closed without an answer", _close),
    Route("/redirect", "/redirect?times=2", "times redirects, then /fast", _redirect),
    Route("/redirect-loop", "/redirect-loop?status=302", "endless redirects to itself", _redirect_loop),
    Route("/echo/", "/echo/any/path?any=thing", "JSON: method, target, headers and body as they arrived", _echo),
)


def listing() -> str:
    """Return all paths as plain text, one per line."""
    wide = max(len(route.usage) for route in ROUTES) + 2
    paths = "".join(f"  {route.usage:<{wide}}{route.does}\n" for route in ROUTES)
    return (
        "Mock target: the path chooses the behaviour, and each request is counted.\n\n"
        f"{paths}\n"
        "Each path accepts ms=N (wait N ms first) and share=0.1 (only every tenth request; the others get /fast).\n\n"
        f"  {'GET /_mock/counts':<{wide}}the counts so far, as JSON\n"
        f"  {'POST /_mock/reset':<{wide}}resets counts and shares to 0\n"
        f"  {'GET /_mock/health':<{wide}}prints ok; these three requests are not counted\n"
    )
