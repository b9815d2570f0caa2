"""A sidecar that watches a made-up world: the real routes and the real page over it, in a thread of this process.

`python -m tests.browser.pretend_sidecar PORT [WORKERS]` serves it to look at.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import uvicorn

from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Snapshot
from sidecar.monitor.board import Board
from sidecar.serve.app import make_app
from tests.browser.demo_archive import WorldArchive
from tests.browser.demo_world import LEAKING, World

_DEADLINE_SECONDS = 20.0
_ROUND_SECONDS = 2.0


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port."""
        await super().startup(sockets)
        self._ready.set()


class PretendSidecar:
    """Serves a board at a port until it is stopped; `stop` cuts what is open, as a killed sidecar does."""

    def __init__(self, port: int, archive: LedgerArchive | None) -> None:
        self._port = port
        self._archive = archive
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(_DEADLINE_SECONDS):
            raise TimeoutError("the pretended sidecar did not start")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.board, self._stopping = Board(now), asyncio.Event()
        app = make_app(self.board, self._stopping, archive=self._archive)
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self._port, lifespan="off", log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = _Server(config, self._ready)
        await self._server.serve()

    def publish(self, snapshot: Snapshot) -> None:
        """Hang a Snapshot up."""
        self._loop.call_soon_threadsafe(self.board.publish, snapshot)

    def record(self, *incidents: Incident) -> None:
        """Tell of incidents."""
        self._loop.call_soon_threadsafe(self.board.record, incidents)

    def stop(self) -> None:
        """End, and free the port."""

        def end() -> None:
            self._stopping.set()
            self.board.close()
            self._server.should_exit = True

        self._loop.call_soon_threadsafe(end)
        self._thread.join(_DEADLINE_SECONDS)


def live(sidecar: PretendSidecar, world: World, moments: Iterable[datetime]) -> None:
    """Publish a round at each moment, and an OOM kill each time that the leaking worker starts anew."""
    before = world.now
    for moment in moments:
        if world.used_bytes(LEAKING, moment) < world.used_bytes(LEAKING, before):
            kill = world.oom_kill(LEAKING, moment)
            world.incidents[kill.id] = kill
            sidecar.record(kill)
        before = moment
        sidecar.publish(world.snapshot(moment))


def _rounds() -> Iterable[datetime]:
    while True:
        yield now()
        time.sleep(_ROUND_SECONDS)


if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8
    the_world = World(workers, now() - timedelta(seconds=1))
    live(PretendSidecar(port, WorldArchive(the_world)), the_world, _rounds())
