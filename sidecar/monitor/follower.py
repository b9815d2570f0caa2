"""Follows one container's log over restarts of both sides: each line once, into the ledger and a ring for views."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sidecar.common.backoff import Backoff
from sidecar.common.errors import EngineError
from sidecar.common.times import SECOND_NS, from_nanos
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.log_follow import LogRefusedError, NoSuchLogError, Reading, follow
from sidecar.engine.log_lines import LineRateLimiter, LogDeduplicator, RawLine
from sidecar.model.history import LogCursor, StoredLine
from sidecar.model.observation import LogEntry

_log = logging.getLogger(__name__)

RING_LINES = 100  # an incident's evidence has 50
_RING_CHARACTERS = 1000  # of one line: the rings of 60 containers stay below 10 MB, whatever the containers print
_FIRST_TAIL = 1000  # lines of a log that was never read before
_FIRST_TAIL_YOUNG = 10_000  # the same, of a container that has just started: its whole log
_YOUNG_NS = 60_000_000_000
_START_NS = 2_000_000_000  # a log can be opened this much earlier than the engine's start time of the container
_REFUSED_SECONDS = 30.0
_NOTICE_SECONDS = 1.5
_MOST_BYTES_PER_SECOND = 1024 * 1024  # of all logs: a flood waits in the engine's files and costs the monitor no CPU
_BEHIND_NS = 10 * SECOND_NS  # when a flood puts the follower this far behind, it skips to the present


class LineStore(Protocol):
    """Where lines are kept (History in sidecar/ledger). No call may block for long."""

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor]) -> None:
        """Keep lines and, in the same transaction, how far these logs (by container id) have been read."""

    def cursors(self) -> Mapping[str, LogCursor]:
        """Return how far each log was read, by container id."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """A container whose log is followed. `started_at` is its last start; None while it is unknown."""

    name: str
    service: str | None
    project: str | None
    tty: bool = False
    started_at: datetime | None = None
    running: bool = True

    @property
    def started_ns(self) -> int:
        """The last start in nanoseconds since 1970; 0 while it is unknown."""
        return int(self.started_at.timestamp() * 1e6) * 1000 if self.started_at else 0


class FollowerPace:
    """Limits the bytes per second that all followers read together. The rest waits for the next second.

    Args:
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._bytes = 0

    async def taken(self, size_bytes: int) -> None:
        """Count the bytes that were read, and wait if they are too many."""
        self._bytes += size_bytes
        now = self._monotonic()
        if now - self._began >= 1:
            self._began, self._bytes = now, 0
        elif self._bytes > _MOST_BYTES_PER_SECOND:
            await asyncio.sleep(self._began + 1 - now)


@dataclass(frozen=True, slots=True)
class Source:
    """What all followers share: the engine, the ledger, the time (ns since 1970) and the pace."""

    engine: DockerEngine
    store: LineStore
    now_ns: Callable[[], int]
    pace: FollowerPace


class Follower:
    """Follows one log. Belongs to one event loop; `recent` may be read from any thread."""

    def __init__(self, container_id: str, target: LogSource, source: Source, cursor: LogCursor | None) -> None:
        self.problem = ""
        self._id = container_id
        self._target = target
        self._source = source
        self._deduplicator = LogDeduplicator(cursor)
        self._rate_limiter = LineRateLimiter()
        self._ring: deque[LogEntry] = deque(maxlen=RING_LINES)
        self._woken = asyncio.Event()
        self._opened_ns = 0
        self._behind = False
        self._task: asyncio.Task[None] | None = None
        self._notice_due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to follow."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Stop to follow at once."""
        if self._task is not None:
            self._task.cancel()
        if self._notice_due is not None:
            self._notice_due.cancel()
            self._notice()

    def recent(self, most: int) -> tuple[LogEntry, ...]:
        """Return the last lines, oldest first; long lines are cut."""
        # copy() does not release the interpreter, so no line can come in between.
        return tuple(self._ring.copy())[-most:] if most > 0 else ()

    def aim(self, target: LogSource) -> None:
        """Update the target. A new start of the container opens its log again."""
        before, self._target = self._target, target
        if target == before:
            return
        if self._opened_ns and target.started_ns > self._opened_ns + _START_NS:
            _log.info("the log of %s did not end with its container; the monitor reads it again", target.name)
            self.stop()
            self.start()
        self.wake()

    def wake(self) -> None:
        """Try again now if the log is not open: the container has started."""
        self._woken.set()

    async def _run(self) -> None:
        backoff = Backoff(first_seconds=0.2, most_seconds=5.0)
        while True:
            self._woken.clear()
            pause: float | None
            try:
                news = await self._read()
            except NoSuchLogError:
                return
            except LogRefusedError as error:
                self._set_problem(error.what)
                pause = _REFUSED_SECONDS
            except EngineError as error:
                self._set_problem(error.what)
                backoff = backoff.failed(0.0)
                pause = backoff.next_try_seconds
            except Exception:  # noqa: BLE001  the top of a stream: after any failure there is a next attempt
                _log.exception("following the log of %s failed", self._target.name)
                backoff = backoff.failed(0.0)
                pause = backoff.next_try_seconds
            else:
                # The container has stopped. Its last lines may have come after the stream's end. So look again until
                # there is nothing new, and then only once it runs again.
                self._set_problem("")
                backoff = (backoff.succeeded() if news else backoff).failed(0.0)
                pause = backoff.next_try_seconds if news or self._target.running else None
            finally:
                self._opened_ns = 0
            await self._rest(pause)

    async def _rest(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    def _set_problem(self, problem: str) -> None:
        if problem and not self.problem:
            # Not a warning: when a proxy restarts, this comes once for each container; `unread` reports it once.
            _log.info("the log of %s cannot be followed: %s", self._target.name, problem)
        self.problem = problem

    async def _read(self) -> bool:
        """Read until the log ends; return whether it had new lines."""
        now_ns = self._source.now_ns()
        since = self._deduplicator.since(now_ns)
        self._deduplicator.reopened()
        self._opened_ns = now_ns
        news = False
        tail = _FIRST_TAIL if self._behind else None if since else self._first_tail(now_ns)
        self._behind = False
        reading = Reading(self._id, self._target.tty, since, tail)
        stream = follow(self._source.engine, reading)
        try:
            async for lines in stream:
                self.problem = ""
                news = self._take([line for line in lines if self._deduplicator.new(line)]) or news
                await self._source.pace.taken(sum(line.size_bytes for line in lines))
                if self._rate_limiter.holds and self._source.now_ns() - lines[-1].ns > _BEHIND_NS:
                    self._behind = True
                    self._rate_limiter.skip()
                    break
        finally:
            await stream.aclose()
        return news

    def _first_tail(self, now_ns: int) -> int:
        young = now_ns - self._target.started_ns < _YOUNG_NS
        return _FIRST_TAIL_YOUNG if young else _FIRST_TAIL

    def _take(self, lines: Sequence[RawLine]) -> bool:
        """Keep the lines that are not a flood, and with them how far the log has been read."""
        if not lines:
            return False
        kept: list[StoredLine] = []
        for line in lines:
            if notice := self._rate_limiter.notice(line):
                kept.append(self._stored(*notice, stream=0))
            if self._rate_limiter.admit(line):
                kept.append(self._stored(line.ns, line.text(), line.stream))
        self._keep(kept)
        if self._notice_due is not None:
            self._notice_due.cancel()
        loop = asyncio.get_running_loop()
        self._notice_due = loop.call_later(_NOTICE_SECONDS, self._notice) if self._rate_limiter.holds else None
        return True

    def _notice(self) -> None:
        """Record how many lines a flood cost, even if no line comes after it."""
        self._notice_due = None
        if notice := self._rate_limiter.notice():
            self._keep([self._stored(*notice, stream=0)])

    def _keep(self, lines: Sequence[StoredLine]) -> None:
        self._ring.extend(LogEntry(from_nanos(line.ns), line.text[:_RING_CHARACTERS]) for line in lines)
        self._source.store.add_lines(lines, {self._id: self._deduplicator.cursor()})

    def _stored(self, ns: int, text: str, stream: int) -> StoredLine:
        target = self._target
        return StoredLine(ns, self._id, text, target.name, target.project, target.service, stream)
