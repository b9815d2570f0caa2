"""Execute a behaviour on the socket of a request.

`done` is called once, at the end of the behaviour, with the sent status (None without a status).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable

from aiohttp import web

from mock_target.behaviours import JSON, Answer, Behaviour, Echo, Hang, Reset, Stream, Truncate
from mock_target.counts import Counts

Done = Callable[[int | None], None]

PIECE = b"x" * 65_536
PROMISED_BYTES = 1_000

# Close at once and discard unsent data, so that the kernel sends RST instead of FIN.
LINGER_NONE = struct.pack("ii", 1, 0)


async def perform(behaviour: Behaviour, request: web.BaseRequest, done: Done, counts: Counts) -> web.StreamResponse:
    """Execute `behaviour`. The server finishes the returned response, unless the connection is closed by then."""
    match behaviour:
        case Answer():
            done(behaviour.status)
            return _whole(behaviour)
        case Echo():
            return await _echo(request, done)
        case Stream():
            return await _stream(behaviour, request, done)
        case Truncate():
            return await _truncate(behaviour, request, done)
        case Reset():
            return await _reset(behaviour, request, done)
        case Hang():
            return await _hang(behaviour, request, done, counts)


def _whole(answer: Answer) -> web.Response:
    headers = {"Server": "mock-target", "Content-Type": answer.content_type}
    if answer.location is not None:
        headers["Location"] = answer.location
    return web.Response(status=answer.status, headers=headers, body=answer.body)


async def _begin(request: web.BaseRequest, promised_bytes: int) -> web.StreamResponse:
    headers = {"Server": "mock-target", "Content-Type": JSON, "Content-Length": str(promised_bytes)}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    return response


async def _half(request: web.BaseRequest, promised_bytes: int) -> web.StreamResponse:
    response = await _begin(request, promised_bytes)
    await response.write(b"x" * (promised_bytes // 2))
    return response


async def _echo(request: web.BaseRequest, done: Done) -> web.StreamResponse:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        done(413)
        most = request._client_max_size  # noqa: SLF001 - no other name for it
        return web.Response(status=413, text=f"the body is too large; expected: up to {most} bytes\n")
    document = {
        "method": request.method,
        "target": request.raw_path,
        "scheme": request.scheme,
        "headers": [[name, value] for name, value in request.headers.items()],
        "body": body.decode("utf-8", "replace"),
    }
    done(200)
    return _whole(Answer(200, JSON, json.dumps(document).encode("utf-8", "replace")))


async def _stream(stream: Stream, request: web.BaseRequest, done: Done) -> web.StreamResponse:
    response = await _begin(request, stream.size_bytes)
    left = stream.size_bytes
    while left > len(PIECE):
        await response.write(PIECE)
        left -= len(PIECE)
    # Counted before the last piece, so that a client with the whole answer finds it in the counts.
    done(200)
    await response.write(PIECE[:left])
    return response


async def _truncate(truncate: Truncate, request: web.BaseRequest, done: Done) -> web.StreamResponse:
    response = await _half(request, truncate.promised_bytes)
    if request.transport is not None:
        request.transport.close()
    done(200)
    return response


async def _reset(reset: Reset, request: web.BaseRequest, done: Done) -> web.StreamResponse:
    response = web.StreamResponse() if reset.after == "nothing" else await _half(request, PROMISED_BYTES)
    transport = request.transport
    if transport is not None and not reset.is_rude:
        transport.close()
    elif transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        transport.abort()
    done(None if reset.after == "nothing" else 200)
    return response


async def _hang(hang: Hang, request: web.BaseRequest, done: Done, counts: Counts) -> web.StreamResponse:
    response = web.StreamResponse() if hang.after == "nothing" else await _half(request, PROMISED_BYTES)
    done(None if hang.after == "nothing" else 200)
    counts.hanging_now += 1
    try:
        # Only a cancellation ends this: the client leaves, or the server stops.
        await asyncio.get_running_loop().create_future()
    finally:
        counts.hanging_now -= 1
    return response
