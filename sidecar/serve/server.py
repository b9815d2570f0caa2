"""The monitor as a process: rounds and web server in one event loop. It ends at once after SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from sidecar.common.console import Console
from sidecar.common.errors import SettingError
from sidecar.common.web_guard import WebGuard
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Snapshot
from sidecar.monitor.board import Board
from sidecar.monitor.container_poller import READERS
from sidecar.monitor.sampler import watch
from sidecar.serve.app import make_app
from sidecar.serve.auth import ClusterAuth
from sidecar.serve.sidecar import Sidecar, now
from sidecar.settings.monitor import WatchSettings, from_environment
from sidecar.views.metrics import metrics_text

_GRACE_SECONDS = 1


def serve_monitor(args: Sequence[str], environ: Mapping[str, str], _console: Console) -> int:
    """Serve until a signal. The settings come only from the environment.

    Raises:
        SettingError: an argument was given, or a variable holds an invalid value.
        EngineError: DOCKER_HOST is not a unix socket.

    """
    if args:
        raise SettingError(f"serve takes no arguments, but got {args[0]!r}", wanted="settings in the environment only")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return serve(from_environment(environ))


def serve(settings: WatchSettings) -> int:
    """Watch and serve until SIGTERM or SIGINT; returns the process's exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn acts on them, and then raises them again for us
        signal.signal(number, lambda _number, _frame: None)
    # One more thread than the engine is read with, for the master.
    with ThreadPoolExecutor(READERS + 1, thread_name_prefix="reader") as pool:
        return asyncio.run(_serve(settings, pool))


async def _serve(settings: WatchSettings, pool: ThreadPoolExecutor) -> int:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def publish(incidents: Sequence[Incident]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the monitor ends, and all commits are on disk
            loop.call_soon_threadsafe(board.record, incidents)

    sidecar = Sidecar(settings, pool, publish)
    board = Board(now, sidecar.recorded)
    server = _Server(_config(settings, _app(settings, sidecar, board, stopping)), board, stopping)
    await server.serve()
    return 0 if server.started else 1


def _app(settings: WatchSettings, sidecar: Sidecar, board: Board, stopping: asyncio.Event) -> Starlette:
    """Make the application; the rounds begin and end with it."""

    def metrics(snapshot: Snapshot | None, legacy: bool) -> str:  # noqa: FBT001 -- the routes' own form of call
        return metrics_text(sidecar.series.rows(), snapshot, sidecar.own(), legacy=legacy)

    def beat() -> None:
        with suppress(OSError):  # a full tmpfs makes the container unhealthy, but does not slow down the monitor
            if settings.beat_file:
                Path(settings.beat_file).touch()

    async def rounds() -> None:
        await asyncio.to_thread(sidecar.start)
        await watch(sidecar.round, board, settings.interval, monotonic=time.monotonic, beat=beat)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(rounds())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(sidecar.stop)

    member, cluster = sidecar.cluster, settings.cluster
    return make_app(
        board,
        stopping,
        lifespan,
        archive=sidecar.archive,
        metrics=metrics,
        clock=now,
        problems=sidecar.health,
        recording=sidecar.recording,
        note=sidecar.note,
        reports=sidecar.reports,
        cluster=ClusterAuth(member.publisher, cluster.token) if member and cluster else None,
        guard=WebGuard(settings.web_hosts, settings.web_password),
    )


def _config(settings: WatchSettings, app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.listen[0],
        port=settings.listen[1],
        lifespan="on",
        access_log=False,  # a line each two seconds is noise
        log_level="warning",
        server_header=False,
        date_header=False,  # uvicorn would have to wake each second to keep it right
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """A server that sleeps until a signal, and then ends the open streams."""

    def __init__(self, config: uvicorn.Config, board: Board, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._board = board
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take SIGTERM or SIGINT (called by uvicorn's own signal handler)."""
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._stop)

    async def main_loop(self) -> None:
        """Wait for the signal. uvicorn's own loop wakes ten times per second: 40 % of an idle monitor's CPU."""
        await self.on_tick(0)
        await self._stopping.wait()

    def _stop(self) -> None:
        self._stopping.set()
        self._board.close()  # uvicorn would wait for open streams for ever; woken, they see the event and end
