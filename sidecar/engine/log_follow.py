"""One container's log, followed: a thread waits for it, an event loop has its lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from urllib.parse import quote

from sidecar.common.errors import EngineError
from sidecar.engine.docker_engine import DockerEngine, EngineStream, Query
from sidecar.engine.frames import NotALogError
from sidecar.engine.log_lines import LineReader, RawLine
from sidecar.engine.transport import RefusedError

_NOT_FOUND = 404
_ALL: Query = dict.fromkeys(("stdout", "stderr", "timestamps", "follow"), 1)
_ANSWER_SECONDS = 10.0  # until the header: a loaded engine takes seconds


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


async def follow(engine: DockerEngine, reading: Reading) -> AsyncGenerator[list[RawLine], None]:
    """Yield a log's lines as they come, until the container stops.

    A quiet log may wait for days, without a time-out: a proxy or an engine that ends closes its unix socket, and that
    is seen at once. The SDK can only block, so each log holds a thread of the loop's default executor; when this
    generator is closed, the stream is cut, and the thread is free at once.

    Raises:
        NoSuchLogError: the container is gone.
        LogRefusedError: the engine answers, but with no log.
        EngineError: no connection, or a broken stream. A line of which only a part came was not yielded: read again
            from the last whole one.
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
        asyncio.get_running_loop().run_in_executor(None, stream.close)  # waits for the thread that was cut off
