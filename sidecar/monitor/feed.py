"""The latest incidents, for those who follow along: what came or changed since they last asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.model.incident import Incident

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
