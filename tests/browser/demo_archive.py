"""The past of a made-up world, as the routes ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sidecar.ledger.ledger_reader import EVERYTHING, LedgerArchive
from sidecar.model.history import IncidentQuery, LogQuery, RecordedSeries, RunPoint, SeriesPoint, StoredLine
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Blind, LogLine
from tests.browser.demo_world import LEAKING, PROJECT, World

_MOST_POINTS = 400


class WorldArchive(LedgerArchive):
    """The past of a world, as the routes ask for it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def incidents(self, query: IncidentQuery = EVERYTHING) -> Sequence[Incident]:
        """Return incidents, newest first."""
        found = [
            one
            for one in self.world.newest()
            if (not query.kinds or one.kind in query.kinds)
            and (query.since is None or (one.until or self.world.now) >= query.since)
            and (query.until is None or one.at <= query.until)
            and query.project in {None, one.project}
        ]
        return found[: query.limit]

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident."""
        return self.world.incidents.get(incident_id)

    def blind(self, since: datetime | None, until: datetime | None) -> Sequence[Blind]:
        """Return the blind spans."""
        return [
            one
            for one in self.world.blind
            if (since is None or (one.until or self.world.now) >= since) and (until is None or one.since <= until)
        ]

    def _moments(self, since: datetime, until: datetime, points: int) -> list[datetime]:
        first, last = max(since, self.world.began), until
        step = max(2.0, (until - since).total_seconds() / min(points, _MOST_POINTS))
        count = max(0, int((last - first).total_seconds() // step))
        moments = [first + timedelta(seconds=number * step) for number in range(count + 1)]
        gaps = [(gap.since, gap.until or last) for gap in self.world.blind]
        return [moment for moment in moments if not any(since <= moment <= until for since, until in gaps)]

    def series(
        self, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> Sequence[RecordedSeries]:
        """Return every container's figures."""
        del project
        by_name: dict[str, list[SeriesPoint]] = {}
        for moment in self._moments(since, until, points):
            for container in self.world.containers(moment):
                if container.memory_working_set_bytes is not None and container.memory_usage_bytes is not None:
                    used, usage, cpu = (
                        container.memory_working_set_bytes,
                        container.memory_usage_bytes,
                        container.cpu_percent,
                    )
                    point = SeriesPoint(
                        moment, used, used, usage, container.memory_limit_bytes, cpu, cpu, container.throttled_percent
                    )
                    by_name.setdefault(container.name, []).append(point)
        return [
            RecordedSeries(
                container.id,
                container.name,
                container.project,
                container.service,
                container.index,
                tuple(by_name.get(container.name, ())),
            )
            for container in self.world.containers(until)
        ]

    def run_series(self, since: datetime, until: datetime, points: int) -> Sequence[RunPoint]:
        """Return the run's figures."""
        world = self.world
        return [
            RunPoint(at, "running", int(world.users(at)), world.rps(at), 3.2, 12.0, 148.0, world.workers)
            for at in self._moments(since, until, points)
        ]

    def search(self, query: LogQuery) -> Sequence[StoredLine]:
        """Return log lines, newest first."""
        name = query.container or f"locust-locust-worker-{LEAKING}"
        lines = self.world.lines(query.until or datetime.now(UTC), name, name.removeprefix("locust-"), 900)
        found = [
            line
            for line in lines
            if query.text.lower() in line.text.lower()
            and line.at is not None
            and (query.since is None or line.at >= query.since)
        ]
        return [_stored(line) for line in found[: query.limit]]


def _stored(line: LogLine) -> StoredLine:
    at = line.at or datetime.now(UTC)
    return StoredLine(int(at.timestamp() * 1e9), "c" * 64, line.text, line.container, PROJECT, line.service)
