"""The current Snapshot and the latest incidents, for all servers and streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sidecar.incidents.warnings import judged, overdue
from sidecar.model import document
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Snapshot
from sidecar.monitor.assembly import Recorded, shown

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Upserts:
    """Incidents that are new or have changed: each once, at its newest revision.

    `mark` is the parameter of the next call. `complete` is False if the caller fell so far behind that some incidents
    are no longer remembered; then it should read the whole list again.
    """

    mark: int
    incidents: tuple[Incident, ...] = ()
    complete: bool = True


class IncidentFeed:
    """Remembers the newest incidents in the order in which they were committed; not thread-safe."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._recent: deque[Incident] = deque(maxlen=remembered)
        self._mark = 0

    def add(self, incidents: Iterable[Incident]) -> None:
        """Add incidents that were committed."""
        for incident in incidents:
            self._recent.append(incident)
            self._mark += 1

    def since(self, mark: int | None) -> Upserts:
        """Return the incidents that were added after `mark`; with None, only the current mark."""
        missed = 0 if mark is None else self._mark - mark
        if missed <= 0:
            return Upserts(self._mark)
        newest = {incident.id: incident for incident in list(self._recent)[-missed:]}
        return Upserts(self._mark, tuple(newest.values()), complete=missed <= len(self._recent))


_MERGE_AGAIN = timedelta(seconds=0.5)


class Board:
    """Holds the newest Snapshot and wakes all who wait for the next. Belongs to one event loop.

    The JSON is made once for each Snapshot, and only on request. Incidents that were recorded since the round are added
    to its Snapshot, at most twice per second: a storm of incidents must not become a storm of documents.

    Args:
        clock: the time of day.
        recorded: the recorded incidents; None if a Snapshot's own incidents are all there are.
    """

    def __init__(self, clock: Callable[[], datetime], recorded: Callable[[], Recorded] | None = None) -> None:
        self._clock = clock
        self._recorded = recorded
        self._merged: tuple[Snapshot, Recorded | None, datetime, Snapshot] | None = None
        self._snapshot: Snapshot | None = None
        self._written: tuple[Snapshot, bytes] | None = None
        self._version = 0
        self._changed = asyncio.Event()
        self._feed = IncidentFeed()

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    def publish(self, snapshot: Snapshot) -> None:
        """Replace the Snapshot and wake all who wait."""
        self._snapshot = snapshot
        self._wake()

    def record(self, incidents: Iterable[Incident]) -> None:
        """Send committed incidents to all who wait."""
        self._feed.add(incidents)
        self._wake()

    def incidents_since(self, mark: int | None) -> Upserts:
        """Return the incidents recorded after `mark`, each once, at its newest; with None, only the current mark."""
        return self._feed.since(mark)

    def close(self) -> None:
        """Wake all who wait, without a new Snapshot: the monitor is about to end."""
        self._wake()

    def passed(self) -> bool:
        """Return whether the monitor makes rounds. A Docker that does not answer is not a fault of the monitor."""
        return self._snapshot is not None and not overdue(self._snapshot, self._clock())

    def current(self) -> Snapshot | None:
        """Return the newest Snapshot, marked stale when its replacement is overdue; None before the first."""
        return None if self._snapshot is None else judged(self._with_news(self._snapshot), self._clock())

    def json(self) -> bytes | None:
        """Return the newest Snapshot as a JSON document; None before the first."""
        snapshot = self.current()
        if snapshot is None:
            return None
        if self._written is None or self._written[0] is not snapshot:
            self._written = (snapshot, document.dumps(snapshot))
        return self._written[1]

    async def changed(self, since: int) -> None:
        """Wait until the version differs from `since`: for a new Snapshot or the end. The wait misses neither."""
        while self._version == since:
            await self._changed.wait()

    def _with_news(self, snapshot: Snapshot) -> Snapshot:
        if self._recorded is None:
            return snapshot
        recorded, now = self._recorded(), self._clock()
        if self._merged is not None and self._merged[0] is snapshot:
            _, known, at, merged = self._merged
            if known is recorded or now - at < _MERGE_AGAIN:
                return merged
        merged = replace(snapshot, incidents=shown(recorded.incidents), blind=recorded.blind)
        self._merged = (snapshot, recorded, now, merged)
        return merged

    def _wake(self) -> None:
        self._version += 1
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()
