"""Processes each round: keeps it as history, judges it for incidents, and sets the logs to follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.common.records import shared
from sidecar.incidents.conditions import Conditions
from sidecar.ledger.history import History
from sidecar.model.history import run_point_of, samples_of
from sidecar.model.signal import ContainerRemoved
from sidecar.monitor.assembly import ContainerReadings, Recorded
from sidecar.monitor.container_poller import EngineReading
from sidecar.monitor.context import Context
from sidecar.monitor.follower import LogSource
from sidecar.monitor.followers import Followers
from sidecar.monitor.recorder import Put
from sidecar.monitor.sampler import Round
from sidecar.monitor.series import CounterSeries


@dataclass(slots=True)
class RoundSink:
    """Processes rounds. For one thread.

    Args:
        context: keeps the last rounds for incidents.
        history: keeps the figures.
        followers: follow logs.
        series: keeps the counters for Prometheus.
        conditions: makes incidents from rounds.
        recorded: returns the recorded incidents.
        put: takes signals and incidents to be recorded.
        track: takes the id of a container whose kernel counter is to be read.
        now_ns: the clock, in nanoseconds since 1970.
    """

    context: Context
    history: History
    followers: Followers
    series: CounterSeries
    conditions: Conditions
    recorded: Callable[[], Recorded]
    put: Callable[[Put], None]
    track: Callable[[str], None]
    now_ns: Callable[[], int]
    _tracked: set[str] = field(default_factory=set, init=False)

    def take(self, made: Round) -> None:
        """Process one round."""
        snapshot = made.snapshot
        self.context.remember(snapshot)
        recorded = self.recorded()
        if made.reading is not None:
            self._hand_on(made.reading)
            self.series.observe(snapshot.at, made.reading.containers, recorded.oom_kills)
            self.history.add_round(snapshot.at, samples_of(snapshot))
        if (point := run_point_of(snapshot)) is not None:
            self.history.add_run_point(point)
        ids = {readings.listed.name: readings.listed.id for readings in made.reading.containers} if made.reading else {}
        if incidents := self.conditions.apply(snapshot, recorded.incidents, ids):
            self.put(tuple(self.context.enrich(incident) for incident in incidents))

    def _hand_on(self, reading: EngineReading) -> None:
        """Pass the inspections to the recorder, the containers to the kernel's watch, and the logs to the followers."""
        for readings in reading.containers:
            if (
                readings.listed.id in reading.inspected
                and readings.inspected is not None
                and readings.inspected.inspection is not None
            ):
                self.put(readings.inspected.inspection)
        for container_id in reading.gone:
            self.put(ContainerRemoved(self.now_ns(), container_id))
        present = {readings.listed.id for readings in reading.containers}
        for container_id in present - self._tracked:
            self.track(container_id)
        self._tracked = present
        self.followers.set_targets(
            {readings.listed.id: _source(readings) for readings in reading.containers if readings.inspected}
        )


def _source(readings: ContainerReadings) -> LogSource:
    listed = readings.listed
    return LogSource(
        **shared(listed, LogSource) | shared(readings.inspected, LogSource), running=listed.state == "running"
    )
