"""Reading the ledger: from any thread, beside the writer, and after it has ended."""

from __future__ import annotations

import json
from pathlib import Path

from sidecar.common.times import micros
from sidecar.ledger.database import Readers
from sidecar.ledger.rows import EVENT_COLUMNS, event_of, incidents_of
from sidecar.ledger.schema import LEDGER
from sidecar.model.history import IncidentQuery
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.signal import DockerEvent

_INCIDENTS = """SELECT document FROM incidents
    WHERE (:since IS NULL OR until_us IS NULL OR MAX(at_us, until_us) >= :since)
      AND (:until IS NULL OR at_us <= :until)
      AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
      AND (:project IS NULL OR project = :project)
      AND (:helpers OR NOT helper) """
_NEWEST_FIRST = "ORDER BY at_us DESC, id LIMIT :limit"
_OLDEST_FIRST = "ORDER BY at_us, id LIMIT :limit"
_EVENTS = f"SELECT {EVENT_COLUMNS} FROM events WHERE container_id = :id ORDER BY ns DESC, action LIMIT :limit"  # noqa: S608
_OOM_KILLS = """SELECT container_id, SUM(count) FROM incidents
    WHERE kind = :kind AND container_id IS NOT NULL GROUP BY container_id"""
_EVERYTHING = IncidentQuery()


class LedgerReader:
    """The incidents and events that are on the disk. For any number of threads; each call may raise LedgerError.

    Args:
        folder: where the ledger is.
    """

    def __init__(self, folder: Path) -> None:
        self._readers = Readers(folder / LEDGER.file_name)

    def close(self) -> None:
        """Let go of the file."""
        self._readers.close()

    def incidents(self, query: IncidentQuery = _EVERYTHING) -> list[Incident]:
        """Return the incidents that a query is about."""
        asked = {
            "since": None if query.since is None else micros(query.since),
            "until": None if query.until is None else micros(query.until),
            "kinds": json.dumps(query.kinds) if query.kinds else None,
            "project": query.project,
            "limit": query.limit,
            "helpers": query.helpers,
        }
        order = _NEWEST_FIRST if query.newest_first else _OLDEST_FIRST
        return incidents_of(self._readers.rows(_INCIDENTS + order, asked))

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident with all of its evidence, or None when there is none of this id."""
        found = self._readers.rows("SELECT document FROM incidents WHERE id = :id", {"id": incident_id})
        return next(iter(incidents_of(found)), None)

    def oom_kills(self) -> dict[str, int]:
        """Return how many OOM kills are on record for each container, by its full id."""
        found = self._readers.rows(_OOM_KILLS, {"kind": IncidentKind.OOM_KILL})
        return {container_id: int(count) for container_id, count in found}

    def events(self, container_id: str, limit: int = 100) -> list[DockerEvent]:
        """Return the latest events of a container (its full id), oldest first."""
        found = self._readers.rows(_EVENTS, {"id": container_id, "limit": limit})
        return [event_of(row) for row in reversed(found)]
