"""The current Snapshot and the latest incidents, for everyone who serves or streams them."""

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
    """Incidents that came or changed: each once, at its newest revision.

    `mark` is what to ask with next time. `complete` is False when the asker fell so far behind that some are no longer
    remembered: it should read the list anew.
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
        """Take incidents that were committed."""
        for incident in incidents:
            self._recent.append(incident)
            self._mark += 1

    def since(self, mark: int | None) -> Upserts:
        """Return what was added after `mark`; None asks for today's mark alone."""
        missed = 0 if mark is None else self._mark - mark
        if missed <= 0:
            return Upserts(self._mark)
        newest = {incident.id: incident for incident in list(self._recent)[-missed:]}
        return Upserts(self._mark, tuple(newest.values()), complete=missed <= len(self._recent))


_MERGE_AGAIN = timedelta(seconds=0.5)


class Board:
    """Holds the newest Snapshot and wakes those who wait for the next. Belongs to one event loop.

    The JSON is made once a Snapshot, and only when somebody asks for it. Incidents that were recorded since the round
    are put into its Snapshot, at most twice a second: a storm of them must not become a storm of documents.

    Args:
        clock: the time of day.
        recorded: what is on the disk about incidents; None where a Snapshot's own are all there are.
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
        """A number that rises with each change."""
        return self._version

    def publish(self, snapshot: Snapshot) -> None:
        """Replace the Snapshot and wake everyone who waits."""
        self._snapshot = snapshot
        self._wake()

    def record(self, incidents: Iterable[Incident]) -> None:
        """Tell everyone who waits of incidents that were committed."""
        self._feed.add(incidents)
        self._wake()

    def incidents_since(self, mark: int | None) -> Upserts:
        """Return the incidents recorded after `mark`, each once, at its newest; None asks for today's mark alone."""
        return self._feed.since(mark)

    def close(self) -> None:
        """Wake everyone who waits, without a new Snapshot: the sidecar is about to end."""
        self._wake()

    def passed(self) -> bool:
        """Tell whether rounds are being made. A Docker that does not answer is not the sidecar's own illness."""
        return self._snapshot is not None and not overdue(self._snapshot, self._clock())

    def current(self) -> Snapshot | None:
        """Return the newest Snapshot, marked stale when it is overdue for replacement; None before the first."""
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
        """Wait until the version is no longer `since`: for a new Snapshot or the end, missing neither."""
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
