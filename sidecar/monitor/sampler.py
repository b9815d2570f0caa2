"""Rounds: read every source, build one Snapshot, publish it. A source that fails does not stop the others.

If the master is slow, the round has no Locust figures, but it takes place.
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
    """The source of the master's figures."""

    def read(self) -> LocustReading:
        """Read the master once; never raises."""

    def cut(self) -> None:
        """End the current reading; called from another thread."""


class MasterPoller:
    """Reads the master in parallel to a round, one reading at a time.

    Args:
        source: reads the master.
        pool: runs the reading, which takes one thread for as long as the master takes.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(self, source: LocustSource, pool: Executor, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._pool = pool
        self._monotonic = monotonic
        self._visit: Future[LocustReading] | None = None
        self._began = self._asked = 0.0

    def ask(self) -> None:
        """Start a reading, unless the last one has not ended."""
        self._asked = self._monotonic()
        if self._visit is None:
            self._began = self._asked
            self._visit = self._pool.submit(self._source.read)

    def reading(self) -> LocustReading:
        """Return the master's answer; no figures if it takes too long. Call `ask` each time before."""
        if self._visit is None:
            self.ask()
        visit, left = self._visit, self._asked + PATIENCE_SECONDS - self._monotonic()
        if visit is not None and wait([visit], max(0.0, left)).done:
            self._visit = None
            return visit.result()
        lasted = self._monotonic() - self._began
        if lasted >= _CUT_SECONDS:
            self._source.cut()
        return LocustReading(None, f"the master has sent no complete answer for {lasted:.0f} s", None)


MOST_HOSTNAMES = 5000  # two for each container: far more than a master lists

_log = logging.getLogger(__name__)

_NOT_ASKED = LocustReading(None, None, None)  # the monitor beside the master reads it for all


class HostSource(Protocol):
    """The source of the machine's figures."""

    def read(self) -> Host:
        """Read the machine once; raises OSError or ValueError if the kernel's files cannot be read."""


class Logs(Protocol):
    """A source of a container's last log lines."""

    def recent(self, container_id: str, most: int) -> Sequence[LogEntry]:
        """Return the last lines, oldest first."""

    def unread(self) -> Sequence[str]:
        """Return one sentence for each reason why logs cannot be followed now."""


class ClusterSource(Protocol):
    """The other nodes, and this node's place among them."""

    node: str

    def others(self, containers: Sequence[ContainerReadings], host: Host | None, *, leads: bool) -> Others:
        """Return what the other nodes saw. `leads`: the master runs here; the other arguments are this node's."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a round, and the threads that may read them side by side.

    `recorded` returns the recorded incidents. `problems` returns one sentence for each part of the monitor that fails.
    `cluster` is None on a single machine.
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
    """The settings of the rounds.

    `tail` is how many lines of the master's log a Snapshot holds. `interval_seconds` is the time between two rounds,
    and each Snapshot has it for its readers. `fail_ratio` is the highest share of failures that still passes (0 to 1).
    """

    project: str
    interval_seconds: float
    tail: int
    watch_project: str = ""
    fail_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the Snapshot, and the answers of the engine and the plugin; None without an answer."""

    snapshot: Snapshot
    reading: EngineReading | None
    plugin: PluginStatus | None = None


class Sampler:
    """Makes Snapshots, one for each call of `sample`. For one thread.

    Args:
        sources: the sources to read.
        plan: the settings of the rounds.
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
        self._backoff = Backoff(most_seconds=8.0)  # a socket on the same machine: a new try costs next to nothing
        self._engine_error = ""
        self._containers: tuple[ContainerReadings, ...] = ()
        self._hostnames: dict[str, str] = {}  # the newest last
        self._engine_read_at: datetime | None = None
        self._leads = sources.cluster is None

    def inspect_soon(self, container_id: str) -> None:
        """Mark a container as changed: the next round inspects it. For any thread."""
        self._poller.inspect_soon(container_id)

    def sample(self) -> Round:
        """Read everything once and return the Snapshot of this moment. Never raises if a source fails."""
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
        """Read the containers, or return None and keep the reason. A failing engine is asked less and less often."""
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
    """Select the log to show: the master's, and of several masters the running one."""
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
    """Make rounds and publish until cancelled, with a `beat` after each complete round.

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
        except Exception:  # noqa: BLE001  # top of the loop: one bad round must not blind the monitor
            _log.exception("a round of readings failed")
            backoff = backoff.failed(monotonic())
            pause = backoff.next_try_seconds - monotonic()
        await sleep(max(0.0, pause))
