"""Rounds: read every source, put one Snapshot together, publish it. A source that fails takes no other with it.

A slow master costs a round its figures, never the round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sidecar.common.backoff import Backoff
from sidecar.common.errors import EngineError
from sidecar.common.records import shared
from sidecar.engine.container_reader import Engine
from sidecar.incidents.forecast import Forecasts
from sidecar.model.cluster import NO_OTHERS, Others
from sidecar.model.observation import LocustReading, LogEntry, PluginStatus
from sidecar.model.snapshot import MASTER, Host, Snapshot
from sidecar.monitor import assembly
from sidecar.monitor.assembly import NOTHING_RECORDED, ContainerReadings, Observed, Recorded
from sidecar.monitor.board import Board
from sidecar.monitor.container_poller import ContainerPoller, EngineReading

PATIENCE_SECONDS = 3.0  # of a round
_CUT_SECONDS = 12.0  # a visit with a login takes four requests


class LocustSource(Protocol):
    """Where the master's figures come from."""

    def read(self) -> LocustReading:
        """Visit the master once; never raises."""

    def cut(self) -> None:
        """End a visit that is under way; called from another thread."""


class MasterPoller:
    """Reads the master in parallel to a round, one read at a time.

    Args:
        source: who visits.
        pool: where; a visit takes one thread of it, for as long as the master takes.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(self, source: LocustSource, pool: Executor, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._pool = pool
        self._monotonic = monotonic
        self._visit: Future[LocustReading] | None = None
        self._began = self._asked = 0.0

    def ask(self) -> None:
        """Begin a visit, unless the one before still lasts."""
        self._asked = self._monotonic()
        if self._visit is None:
            self._began = self._asked
            self._visit = self._pool.submit(self._source.read)

    def reading(self) -> LocustReading:
        """Return the master's answer; without figures when it takes too long. Call `ask` before each time."""
        if self._visit is None:
            self.ask()
        visit, left = self._visit, self._asked + PATIENCE_SECONDS - self._monotonic()
        if visit is not None and wait([visit], max(0.0, left)).done:
            self._visit = None
            return visit.result()
        lasted = self._monotonic() - self._began
        if lasted >= _CUT_SECONDS:
            self._source.cut()
        return LocustReading(None, f"the master has not given a whole answer for {lasted:.0f} s", None)


MOST_HOSTNAMES = 5000  # two of each container: far more than a master lists

_log = logging.getLogger(__name__)

_NOT_ASKED = LocustReading(None, None, None)  # the sidecar beside the master asks it, once for all


class HostSource(Protocol):
    """Where the machine's figures come from."""

    def read(self) -> Host:
        """Read the machine once; OSError or ValueError when the kernel's files cannot be read."""


class Logs(Protocol):
    """Where the last lines of a container's log are at hand."""

    def recent(self, container_id: str, most: int) -> Sequence[LogEntry]:
        """Return the last lines, oldest first."""

    def unread(self) -> Sequence[str]:
        """Return a sentence for each reason why logs cannot be followed now."""


class ClusterSource(Protocol):
    """The other nodes, and this one's place among them."""

    node: str

    def others(self, containers: Sequence[ContainerReadings], host: Host | None, *, leads: bool) -> Others:
        """Return what the other nodes saw. `leads`: the master runs here; the rest is this node's own."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a round, and the threads that may read them side by side.

    `recorded` gives what is on the disk about incidents, `problems` a sentence for each part of the sidecar that fails.
    `cluster` is None where there is but one machine.
    """

    engine: Engine
    locust: LocustSource
    host: HostSource
    pool: Executor
    logs: Logs
    recorded: Callable[[], Recorded] = lambda: NOTHING_RECORDED
    problems: Callable[[], Sequence[str]] = lambda: ()
    cluster: ClusterSource | None = None


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What the rounds are about.

    `tail` is how many lines of the master's log a Snapshot holds, `interval_seconds` the time between two rounds, which
    each Snapshot tells its readers, `fail_ratio` the share of failures that is still a pass (0 to 1).
    """

    project: str
    interval_seconds: float
    tail: int
    watch_project: str = ""
    fail_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the Snapshot, and the answers of engine and plugin; None when there was none."""

    snapshot: Snapshot
    reading: EngineReading | None
    plugin: PluginStatus | None = None


class Sampler:
    """Makes Snapshots, one a call of `sample`. For one thread.

    Args:
        sources: what is read.
        plan: what the rounds are about.
        clock: the time of day.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(
        self, sources: Sources, plan: RoundPlan, *, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._sources = sources
        self._plan = plan
        self._clock = clock
        self._monotonic = monotonic
        self._poller = ContainerPoller(sources.engine, sources.pool, monotonic)
        self._master = MasterPoller(sources.locust, sources.pool, monotonic)
        self._forecasts = Forecasts()
        self._backoff = Backoff(most_seconds=8.0)  # a socket on the same machine: asking again costs next to nothing
        self._engine_error = ""
        self._containers: tuple[ContainerReadings, ...] = ()
        self._hostnames: dict[str, str] = {}  # the newest last
        self._engine_read_at: datetime | None = None
        self._leads = sources.cluster is None

    def inspect_soon(self, container_id: str) -> None:
        """Mark a container as changed: the next round inspects it. For any thread."""
        self._poller.inspect_soon(container_id)

    def sample(self) -> Round:
        """Read everything once and return the Snapshot of this moment. Never raises for what a source does."""
        began = self._monotonic()
        if self._leads:
            self._master.ask()
        unread: list[str] = []
        engine_reading = self._read_engine()
        if engine_reading is None:
            unread.append(self._engine_error)
        else:
            unread.extend(engine_reading.unread)
            self._containers, self._engine_read_at = engine_reading.containers, self._clock()
            self._note_hostnames()
            unread.extend(self._sources.logs.unread())
        unread.extend(self._sources.problems())
        host = self._read_host(unread)
        recorded = self._sources.recorded()
        if recorded.problem:
            unread.append(recorded.problem)
        source = _log_source(self._containers, self._plan.project)
        locust_reading = self._master.reading() if self._leads else _NOT_ASKED
        others, cluster = NO_OTHERS, self._sources.cluster
        if cluster is not None:
            self._leads = source is not None and source.listed.state == "running"
            others = cluster.others(self._containers, host, leads=self._leads)
        observed = Observed(
            **shared(self._plan, Observed),
            at=self._clock(),
            engine_read_at=self._engine_read_at,
            round_seconds=self._monotonic() - began,
            stale=engine_reading is None,
            containers=self._containers,
            locust=locust_reading,
            host=host,
            log_source=source.listed if source else None,
            log=self._last_lines(source),
            unread=tuple(unread),
            recorded=recorded,
            watched=self._plan.watch_project or None,
            node=cluster.node if cluster else None,
            leads=self._leads if cluster else None,
            others=others,
            hostnames=frozenset(self._hostnames),
        )
        etas = self._forecasts.update(assembly.containers_of(observed)) if engine_reading is not None else {}
        return Round(assembly.snapshot(observed, etas), engine_reading, observed.locust.plugin)

    def _note_hostnames(self) -> None:
        for hostname, name in assembly.names_by_hostname(self._containers).items():
            self._hostnames.pop(hostname, None)
            self._hostnames[hostname] = name
        for hostname in list(self._hostnames)[:-MOST_HOSTNAMES]:
            del self._hostnames[hostname]

    def _last_lines(self, source: ContainerReadings | None) -> tuple[LogEntry, ...]:
        if source is None or not self._plan.tail:
            return ()
        return tuple(self._sources.logs.recent(source.listed.id, self._plan.tail))

    def _read_engine(self) -> EngineReading | None:
        """Read the containers, or return None with the reason kept; a failing engine is asked ever less often."""
        if not self._backoff.due(self._monotonic()):
            return None
        try:
            reading = self._poller.read()
        except EngineError as error:
            if not self._backoff.failures:
                _log.warning("%s", error.line())
            self._backoff = self._backoff.failed(self._monotonic())
            self._engine_error = error.what
            return None
        if self._backoff.failures:
            _log.warning("Docker answers again")
        self._backoff = self._backoff.succeeded()
        return reading

    def _read_host(self, unread: list[str]) -> Host | None:
        try:
            return self._sources.host.read()
        except (OSError, ValueError) as error:
            unread.append(f"the host's figures could not be read: {error}")
            return None


def _log_source(containers: Sequence[ContainerReadings], project: str) -> ContainerReadings | None:
    """Choose whose log is shown: the master's, the running one where an old one is still there."""
    masters = [
        readings
        for readings in containers
        if readings.listed.service == MASTER and readings.listed.project in (project, None)
    ]
    return next(
        (readings for readings in masters if readings.listed.state == "running"), masters[0] if masters else None
    )


async def watch(
    make_round: Callable[[], Round],
    board: Board,
    interval_seconds: float,
    *,
    monotonic: Callable[[], float],
    beat: Callable[[], None] = lambda: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Make rounds and publish until cancelled, with a `beat` after each round that came to its end.

    Rounds start an interval apart; one that takes longer delays the next.
    """
    backoff = Backoff()
    while True:
        started = monotonic()
        try:
            board.publish((await asyncio.to_thread(make_round)).snapshot)
            beat()
            backoff = backoff.succeeded()
            pause = interval_seconds - (monotonic() - started)
        except Exception:  # noqa: BLE001  # top of the loop: one bad round must not blind the sidecar
            _log.exception("a round of readings failed")
            backoff = backoff.failed(monotonic())
            pause = backoff.next_try_seconds - monotonic()
        await sleep(max(0.0, pause))
