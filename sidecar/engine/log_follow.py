"""One container's log, followed over one connection of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from sidecar.common.errors import EngineError
from sidecar.engine.http_stream import OK, BadHttpError, StreamResponse, request
from sidecar.engine.log_lines import LineReader, NotALogError, RawLine

_UNIX = "unix://"
_NOT_FOUND = 404
_ANSWER_SECONDS = 10.0  # until the header: a loaded engine takes seconds
_READ_BYTES = 64 * 1024


class NoSuchLogError(EngineError):
    """The container is gone, and its log with it."""


class LogRefusedError(EngineError):
    """The engine answers, but with no log: its log driver cannot be read, or a proxy forbids it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked for. `since` and `tail` are the engine's words for where to begin; None: from the beginning."""

    container_id: str
    tty: bool
    since: str | None = None
    tail: int | None = None

    def path(self, version: str) -> str:
        """Return the target of the GET."""
        since = f"&since={self.since}" if self.since else ""
        tail = f"&tail={self.tail}" if self.tail is not None else ""
        return f"/v{version}/containers/{self.container_id}/logs?stdout=1&stderr=1&timestamps=1&follow=1{since}{tail}"


async def follow(url: str, version: str, reading: Reading) -> AsyncGenerator[list[RawLine], None]:
    """Yield a log's lines as they come, until the container stops.

    A quiet log may wait for days, without a time-out: a proxy or an engine that ends closes its unix socket, and that
    is seen at once.

    Raises:
        NoSuchLogError: the container is gone.
        LogRefusedError: the engine answers, but with no log.
        EngineError: no connection, or a broken stream. A line of which only a part came was not yielded: read again
            from the last whole one.
    """
    writer = None
    try:
        answer, lines = StreamResponse(), LineReader(tty=reading.tty)
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(url.removeprefix(_UNIX))
            writer.write(request(reading.path(version)))
            body = await _begun(reader, answer)
        found = lines.feed(body)
        while not answer.ended:
            if found:
                yield found
            found = lines.feed(answer.feed(await _some(reader)))
        if found := found + lines.end():
            yield found
    except TimeoutError as error:
        raise EngineError(f"no answer about a log within {_ANSWER_SECONDS:g} s", where=url) from error
    except OSError as error:
        raise EngineError(f"a log cannot be read: {error.strerror or error}", where=url) from error
    except (BadHttpError, NotALogError) as error:
        raise EngineError(f"a log cannot be understood: {error}", where=url) from error
    finally:
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(_READ_BYTES)
    if not data:
        raise ConnectionResetError("the connection was closed")
    return data


async def _begun(reader: asyncio.StreamReader, answer: StreamResponse) -> bytes:
    """Wait for the header; returns what came of the body with it."""
    body = b""
    while not answer.status:
        body += answer.feed(await _some(reader))
    if answer.status == OK:
        return body
    while not answer.ended and len(body) < _READ_BYTES:  # the engine's own words about why not
        body += answer.feed(await _some(reader))
    if answer.status == _NOT_FOUND:
        raise NoSuchLogError("the container is gone")
    raise LogRefusedError(answer.error_text(body))
