"""Events and incidents as rows of ledger.db, and a reader of incidents: from any thread, with or without a writer.

`LedgerArchive` reads both files of the ledger.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from sidecar.common.times import from_nanos, micros
from sidecar.ledger.database import Readers
from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.schema import LEDGER
from sidecar.model import document
from sidecar.model.document import DocumentError
from sidecar.model.history import IncidentQuery, LogQuery, RecordedSeries, RunPoint, StoredLine
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.signal import DockerEvent
from sidecar.model.snapshot import Blind

_log = logging.getLogger(__name__)

EVENT_COLUMNS = (
    "container_id, ns, action, name, project, service, number, helper, exit_code, signal, health, received_ns, raw"
)
RECORDED = "recorded_ns"
"""The key of the state that holds up to when everything is on the disk, in nanoseconds since 1970."""
Value = None | int | float | str
Row = tuple[Value, ...]
_INCIDENTS = """SELECT document FROM incidents
    WHERE (:since IS NULL OR until_us IS NULL OR MAX(at_us, until_us) >= :since)
      AND (:until IS NULL OR at_us <= :until)
      AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
      AND (:project IS NULL OR project = :project)
      AND (:helpers OR NOT helper) """
_NEWEST_FIRST = "ORDER BY at_us DESC, id LIMIT :limit"
_OLDEST_FIRST = "ORDER BY at_us, id LIMIT :limit"
_OOM_KILLS = """SELECT container_id, SUM(count) FROM incidents
    WHERE kind = :kind AND container_id IS NOT NULL GROUP BY container_id"""
EVERYTHING = IncidentQuery()
_MOST_SPANS = 1000


def event_row(event: DockerEvent) -> Row:
    """Return the event's values in the order of EVENT_COLUMNS."""
    owner = event.owner
    who = (owner.name, owner.project, owner.service, owner.index, owner.helper)
    end = (event.exit_code, event.signal, event.health)
    return (event.container_id, event.ns, event.action, *who, *end, event.received_ns, event.raw)


def incident_row(incident: Incident) -> Row:
    """Return the incident's indexed columns and its document, in the order of the table."""
    return (
        incident.id,
        micros(incident.at),
        None if incident.until is None else micros(incident.until),
        incident.state,
        incident.kind,
        incident.project,
        incident.service,
        incident.container_id,
        incident.count,
        incident.helper,
        document.dumps(incident).decode(),
    )


def incidents_of(rows: Iterable[tuple[str, ...]]) -> list[Incident]:
    """Read incidents back from rows of one column, their documents.

    It skips and logs an incident that this version of the model cannot read, because that one must not hide the others.
    """
    incidents = []
    for row in rows:
        try:
            incidents.append(document.loads_as(Incident, row[0], "incident"))
        except DocumentError as error:
            _log.warning("the monitor cannot read an incident in the ledger: %s", error)
    return incidents


class LedgerReader:
    """The incidents on the disk. For any number of threads; each call may raise LedgerError.

    Args:
        folder: where the ledger is.
    """

    def __init__(self, folder: Path) -> None:
        self._readers = Readers(folder / LEDGER.file_name)

    def close(self) -> None:
        """Close the file."""
        self._readers.close()

    def incidents(self, query: IncidentQuery = EVERYTHING) -> Sequence[Incident]:
        """Return the incidents that match a query."""
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
        """Return one incident with all its evidence; None if no incident has this id."""
        rows = self._readers.rows("SELECT document FROM incidents WHERE id = :id", {"id": incident_id})
        return next(iter(incidents_of(rows)), None)

    def recorded_until(self) -> datetime | None:
        """Return the time up to which everything was written; None in a ledger of an older kit."""
        rows = self._readers.rows("SELECT value FROM state WHERE key = :key", {"key": RECORDED})
        return from_nanos(int(rows[0][0])) if rows else None

    def oom_kills(self) -> dict[str, int]:
        """Return how many OOM kills are recorded for each container, by full id."""
        rows = self._readers.rows(_OOM_KILLS, {"kind": IncidentKind.OOM_KILL})
        return {container_id: int(count) for container_id, count in rows}


class LedgerArchive(LedgerReader):
    """Reads both files of a ledger, while a writer has them open or later."""

    def __init__(self, folder: Path, history: HistoryReader) -> None:
        super().__init__(folder)
        self._history = history

    def blind(self, since: datetime | None, until: datetime | None) -> Sequence[Blind]:
        """Return the blind spans that overlap this span, oldest first."""
        query = IncidentQuery(since, until, (IncidentKind.BLIND,), limit=_MOST_SPANS)
        return [_span(incident) for incident in reversed(self.incidents(query))]

    def series(
        self, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> Sequence[RecordedSeries]:
        """Return the figures of every container in the span, or of a project's."""
        return self._history.series(since, until, points, project)

    def run_series(self, since: datetime, until: datetime, points: int) -> Sequence[RunPoint]:
        """Return the run's figures in the span."""
        return self._history.run_series(since, until, points)

    def search(self, query: LogQuery) -> Sequence[StoredLine]:
        """Return log lines, newest first."""
        return self._history.search(query)


def _span(incident: Incident) -> Blind:
    """Return the span of a blind incident. A span that ended and whose data came in later is no warning any more."""
    return Blind(
        since=incident.at,
        until=incident.until,
        source=next((item.text for item in incident.evidence if item.what == "span"), "sidecar"),
        covered=incident.until is not None and incident.severity is Severity.INFO,
        text=incident.text,
    )
