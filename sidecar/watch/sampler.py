"""One round: read every source, put one Snapshot together. A source that fails takes no other with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sidecar.engine.api import Engine
from sidecar.errors import EngineError
from sidecar.model.observation import LocustReading, LogEntry
from sidecar.model.snapshot import Host, Snapshot
from sidecar.rules import assembly
from sidecar.rules.assembly import Observed, Seen
from sidecar.rules.warnings import MASTER
from sidecar.watch.backoff import Backoff
from sidecar.watch.fleet import Fleet, FleetReading

_log = logging.getLogger(__name__)


class LocustSource(Protocol):
    """Where the master's figures come from."""

    def read(self) -> LocustReading:
        """Visit the master once; never raises."""


class HostSource(Protocol):
    """Where the machine's figures come from."""

    def read(self) -> Host:
        """Read the machine once; OSError or ValueError when the kernel's files cannot be read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The three sources of a round, and the threads that may read them side by side."""

    engine: Engine
    locust: LocustSource
    host: HostSource
    pool: Executor


class Sampler:
    """Makes Snapshots, one a call of `sample`. For one thread.

    Args:
        sources: what is read.
        project: the Compose project that the snapshots are of.
        interval_seconds: the time between two rounds, which each snapshot tells its readers.
        tail: how many lines of the master's log a snapshot holds.
        clock: the time of day.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        project: str,
        interval_seconds: float,
        tail: int,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._project = project
        self._interval_seconds = interval_seconds
        self._tail = tail
        self._clock = clock
        self._monotonic = monotonic
        self._reader = Fleet(sources.engine, sources.pool, monotonic)
        self._backoff = Backoff(most_seconds=8.0)  # a socket on the same machine: asking again costs next to nothing
        self._engine_error = ""
        self._fleet: tuple[Seen, ...] = ()
        self._engine_read_at: datetime | None = None
        self._log: tuple[LogEntry, ...] = ()

    def sample(self) -> Snapshot:
        """Read everything once and return the Snapshot of this moment. Never raises for what a source does."""
        began = self._monotonic()
        locust = self._sources.pool.submit(self._sources.locust.read)
        unread: list[str] = []
        fleet = self._read_fleet()
        if fleet is None:
            unread.append(self._engine_error)
        else:
            unread.extend(fleet.unread)
            self._fleet, self._engine_read_at = fleet.fleet, self._clock()
        source = _log_source(self._fleet)
        if fleet is not None:
            unread.extend(self._read_log(source))
        host = self._read_host(unread)
        locust_reading = locust.result()
        return assembly.snapshot(
            Observed(
                project=self._project,
                at=self._clock(),
                interval_seconds=self._interval_seconds,
                engine_read_at=self._engine_read_at,
                round_seconds=self._monotonic() - began,
                stale=fleet is None,
                fleet=self._fleet,
                locust=locust_reading,
                host=host,
                log_source=source.listed if source else None,
                log=self._log,
                unread=tuple(unread),
            )
        )

    def _read_fleet(self) -> FleetReading | None:
        """Read the containers, or return None with the reason kept; a failing engine is asked ever less often."""
        if not self._backoff.due(self._monotonic()):
            return None
        try:
            reading = self._reader.read()
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

    def _read_log(self, source: Seen | None) -> Sequence[str]:
        if source is None or not self._tail:
            self._log = ()
            return ()
        tty = bool(source.inspected and source.inspected.tty)
        try:
            self._log = tuple(self._sources.engine.logs(source.listed.id, self._tail, tty=tty))[-self._tail :]
        except EngineError as error:
            return (f"the log of {source.listed.name} could not be read: {error.what}",)
        return ()

    def _read_host(self, unread: list[str]) -> Host | None:
        try:
            return self._sources.host.read()
        except (OSError, ValueError) as error:
            unread.append(f"the host's figures could not be read: {error}")
            return None


def _log_source(fleet: Sequence[Seen]) -> Seen | None:
    """Choose whose log is shown: the master's, the running one where an old one is still there."""
    masters = [seen for seen in fleet if seen.listed.service == MASTER]
    return next((seen for seen in masters if seen.listed.state == "running"), masters[0] if masters else None)
