"""Follow one container's log on the engine, without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from urllib.parse import quote

from sidecar.common.errors import EngineError
from sidecar.engine.docker_engine import DockerEngine, EngineStream, Query
from sidecar.engine.log_lines import LineReader, RawLine
from sidecar.engine.transport import NotALogError, RefusedError

_NOT_FOUND = 404
_ALL: Query = dict.fromkeys(("stdout", "stderr", "timestamps", "follow"), 1)
_ANSWER_SECONDS = 10.0  # until the header comes: a busy engine takes seconds


class NoSuchLogError(EngineError):
    """The container was removed, and its log with it."""


class LogRefusedError(EngineError):
    """The engine answers without a log: it cannot read the container's log driver, or a proxy forbids the request."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A request for one log. `since` and `tail` are the engine's parameters; None in both: the whole log."""

    container_id: str
    tty: bool
    since: str | None = None
    tail: int | None = None


async def follow(engine: DockerEngine, reading: Reading) -> AsyncGenerator[list[RawLine], None]:
    """Yield a log's lines as they come, until the container stops.

    There is no time-out, because a log may be silent for days. A proxy or an engine that ends closes its unix socket,
    which ends the stream at once. The SDK's calls block, so each log holds a thread of the loop's default executor.
    Closing this generator cuts the stream and frees the thread at once.

    Raises:
        NoSuchLogError: the container was removed.
        LogRefusedError: the engine answers without a log.
        EngineError: no connection, or a broken stream. An incomplete line is not yielded: read again from the last
            complete one.
    """
    path, where = f"/containers/{quote(reading.container_id)}/logs", str(engine.socket_path)
    query: Query = {**_ALL, "since": reading.since, "tail": reading.tail}
    stream, lines = EngineStream(engine, "logs", path, query, _ANSWER_SECONDS), LineReader(tty=reading.tty)
    try:
        await asyncio.to_thread(stream.open)
        while data := await asyncio.to_thread(stream.read):
            if completed := lines.feed(data):
                yield completed
        if completed := lines.end():
            yield completed
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            raise NoSuchLogError("the container is gone") from error
        raise LogRefusedError(f"status {error.status}: {error.reason}") from error
    except TimeoutError as error:
        raise EngineError(f"no answer about a log within {_ANSWER_SECONDS:g} s", where=where) from error
    except OSError as error:
        raise EngineError(f"a log cannot be read: {error.strerror or error}", where=where) from error
    except NotALogError as error:
        raise EngineError(f"a log cannot be understood: {error}", where=where) from error
    finally:
        stream.cut()
        asyncio.get_running_loop().run_in_executor(None, stream.close)  # it waits for the thread that was cut off
