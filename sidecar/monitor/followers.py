"""All followed logs: one event loop, and for each container a thread and a quiet connection."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, time_ns

from sidecar.engine.docker_engine import DockerEngine
from sidecar.model.history import LogCursor
from sidecar.model.observation import LogEntry
from sidecar.monitor.follower import RING_LINES, Follower, FollowerPace, LineStore, LogSource, Source

_log = logging.getLogger(__name__)

_MOST_GONE = 64  # containers that are gone, and whose last lines are still kept
_STOP_SECONDS = 2.0
_MOST_LOGS = 10_000  # one thread waits for each; it is made when the log is opened, and takes about 30 kB


class Followers:
    """Follows the logs of the given containers. Any thread may call any method.

    Args:
        engine: the engine to read the logs from.
        store: keeps the lines, and has the cursors of earlier readings.
        now_ns: the time of day, in nanoseconds since 1970.
    """

    def __init__(self, engine: DockerEngine, store: LineStore, *, now_ns: Callable[[], int] = time_ns) -> None:
        self._source = Source(engine, store, now_ns, FollowerPace(monotonic))
        self._cursors: Mapping[str, LogCursor] = {}
        self._followers: dict[str, Follower] = {}
        self._gone: dict[str, tuple[LogEntry, ...]] = {}
        self._targets: Mapping[str, LogSource] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="logs", daemon=True)

    def start(self) -> None:
        """Start to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Stop all following; returns within a few moments. The store has all lines that were read."""
        self._call(self._stopping.set)
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def set_targets(self, targets: Mapping[str, LogSource]) -> None:
        """Set the containers to follow, by full container id. Called each round."""
        self._targets = dict(targets)
        self._call(self._apply)

    def started(self, container_id: str) -> None:
        """Open a started container's log at once instead of after a pause."""
        self._call(lambda: self._wake(container_id))

    def recent(self, container_id: str, most: int) -> tuple[LogEntry, ...]:
        """Return the last lines of a container's log, oldest first; also of a container that went recently."""
        follower = self._followers.get(container_id)
        if follower is not None:
            return follower.recent(most)
        return self._gone.get(container_id, ())[-most:] if most > 0 else ()

    def unread(self) -> tuple[str, ...]:
        """Return one sentence for each reason why logs cannot be followed now."""
        targets, names = self._targets, defaultdict[str, list[str]](list)
        for container_id, follower in list(self._followers.items()):
            if (problem := follower.problem) and container_id in targets:
                names[problem].append(targets[container_id].name)
        return tuple(
            f"the log of {concerned[0]} cannot be followed: {problem}"
            if len(concerned) == 1
            else f"the logs of {len(concerned)} containers cannot be followed: {problem}"
            for problem, concerned in names.items()
        )

    def _call(self, callback: Callable[[], None]) -> None:
        if self._loop is None:
            return  # not started yet: the loop applies the targets when it starts
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return  # the loop is closed because it was stopped

    def _serve(self) -> None:
        try:
            self._cursors = self._source.store.cursors()
            asyncio.run(self._main())
        except Exception:  # noqa: BLE001  the top of the thread
            _log.exception("the monitor no longer follows the logs")

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_MOST_LOGS, thread_name_prefix="log"))
        self._apply()
        await self._stopping.wait()
        for follower in self._followers.values():
            follower.stop()

    def _apply(self) -> None:
        for container_id in self._followers.keys() - self._targets.keys():
            follower = self._followers.pop(container_id)
            follower.stop()
            self._remember(container_id, follower)
        for container_id, target in self._targets.items():
            if known := self._followers.get(container_id):
                known.aim(target)
            else:
                follower = Follower(container_id, target, self._source, self._cursors.get(container_id))
                self._followers[container_id] = follower
                follower.start()

    def _remember(self, container_id: str, follower: Follower) -> None:
        self._gone[container_id] = follower.recent(RING_LINES)
        while len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def _wake(self, container_id: str) -> None:
        if follower := self._followers.get(container_id):
            follower.wake()
