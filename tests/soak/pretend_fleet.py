"""A pretend engine with sixty containers, in a process of its own: `python -m tests.soak.pretend_fleet SOCKET`.

Their figures change with each reading, their logs say a line now and then, and one of them is replaced by a new one
after so many lists.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.sidecar_samples import recorded

PROJECT, CONTAINERS = "soak", 60
_LISTS_TO_REPLACEMENT = 50
_LINE_SECONDS = 1.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_STREAM = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Fleet:
    """What the engine would know."""

    def __init__(self) -> None:
        self._random = random.Random(1)  # noqa: S311  # not for secrets
        self._made = 0
        self._lists = 0
        self._ids = [self._new_id() for _ in range(CONTAINERS)]
        self._stats, self._inspect = recorded("v2/stats_one_shot"), recorded("v2/stats_running_inspect")
        self._cpu_ns = 1_000_000_000

    def list(self) -> list[dict[str, Any]]:
        self._lists += 1
        if self._lists % _LISTS_TO_REPLACEMENT == 0:
            self._ids[self._made % CONTAINERS] = self._new_id()
        return [self._entry(one, number) for number, one in enumerate(self._ids, 1)]

    def stats(self) -> dict[str, Any]:
        self._cpu_ns += 50_000_000
        self._stats["read"] = datetime.now(UTC).isoformat()
        self._stats["cpu_stats"]["cpu_usage"]["total_usage"] = self._cpu_ns
        self._stats["cpu_stats"]["system_cpu_usage"] = self._cpu_ns * 40
        self._stats["memory_stats"]["usage"] = 50_000_000 + self._random.randrange(20_000_000)
        return dict(self._stats)

    def inspect(self, container_id: str) -> dict[str, Any]:
        return {**self._inspect, "Id": container_id}

    def version(self) -> dict[str, str]:
        return {"ApiVersion": "1.45", "MinAPIVersion": "1.24"}

    def _new_id(self) -> str:
        self._made += 1
        return f"{self._made:064x}"[::-1]

    def _entry(self, container_id: str, number: int) -> dict[str, Any]:
        service = "locust-master" if number == 1 else "locust-worker"
        label = "com.docker.compose."
        return {
            "Id": container_id,
            "Image": "locust:1",
            "Names": [f"/{PROJECT}-{service}-{number}"],
            "State": "running",
            "Status": "Up 5 minutes (healthy)",
            "Labels": {
                f"{label}project": PROJECT,
                f"{label}service": service,
                f"{label}container-number": str(number),
            },
        }


class Engine:
    """Speaks as much HTTP as the sidecar asks for."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := (await reader.readuntil(b"\r\n\r\n")):
                await self._answer(urlsplit(line.split(b" ", 2)[1].decode()).path.split("/"), line, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _known(self, what: str, container_id: str) -> object:
        if what == "version":
            return self._fleet.version()
        if what == "stats":
            return self._fleet.stats()
        return self._fleet.list() if container_id == "containers" else self._fleet.inspect(container_id)

    async def _answer(self, path: list[str], question: bytes, writer: asyncio.StreamWriter) -> None:
        what, container_id = path[-1], path[-2]
        if what == "logs":
            await _log(writer)
        elif what == "events":
            await _events(writer, ends=b"until=" in question)
        else:
            body = json.dumps(self._known(what, container_id)).encode()
            writer.write(_OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


async def _events(writer: asyncio.StreamWriter, *, ends: bool) -> None:
    writer.write(_STREAM + (b"0\r\n\r\n" if ends else b""))
    if not ends:
        await asyncio.Event().wait()  # nothing ever happens


async def _log(writer: asyncio.StreamWriter) -> None:
    writer.write(_STREAM)
    while not writer.is_closing():
        text = f"{datetime.now(UTC).isoformat().replace('+00:00', 'Z')} one more line of this log\n".encode()
        frame = b"\x01\x00\x00\x00" + len(text).to_bytes(4, "big") + text
        writer.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
        await writer.drain()
        await asyncio.sleep(_LINE_SECONDS)


async def main(path: str) -> None:
    """Serve for ever."""
    server = await asyncio.start_unix_server(Engine(Fleet()).serve, path)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
