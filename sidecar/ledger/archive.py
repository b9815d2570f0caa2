"""The past, from the ledger's two files: what the web server's routes and the reports of runs ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.model.history import IncidentQuery, LogQuery, RecordedSeries, RunPoint, StoredLine
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.snapshot import Blind

_MOST_SPANS = 1000


class LedgerArchive:
    """Reads a ledger, beside its writer or after it. Each call may raise LedgerError."""

    def __init__(self, ledger: LedgerReader, history: HistoryReader) -> None:
        self._ledger = ledger
        self._history = history

    def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        """Return the incidents that a query is about."""
        return self._ledger.incidents(query)

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident with all of its evidence; None when there is none of this id."""
        return self._ledger.incident(incident_id)

    def blind(self, since: datetime | None, until: datetime | None) -> Sequence[Blind]:
        """Return the spans without sight that touch this one, oldest first."""
        query = IncidentQuery(since, until, (IncidentKind.BLIND,), limit=_MOST_SPANS)
        return [_span(incident) for incident in reversed(self._ledger.incidents(query))]

    def recorded_until(self) -> datetime | None:
        """Return up to when all incidents are on the disk; None in a ledger of an older kit."""
        return self._ledger.recorded_until()

    def series(
        self, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> Sequence[RecordedSeries]:
        """Return the figures of every container in the span, or of a project's."""
        return self._history.series(since, until, points, project)

    def run_series(self, since: datetime, until: datetime, points: int) -> Sequence[RunPoint]:
        """Return the master's figures in the span."""
        return self._history.run_series(since, until, points)

    def search(self, query: LogQuery) -> Sequence[StoredLine]:
        """Return log lines, newest first."""
        return self._history.search(query)


def _span(incident: Incident) -> Blind:
    """Read the span that a blind incident tells of: one that ended and was made up for is no warning any more."""
    return Blind(
        since=incident.at,
        until=incident.until,
        source=next((item.text for item in incident.evidence if item.what == "span"), "sidecar"),
        covered=incident.until is not None and incident.severity is Severity.INFO,
        text=incident.text,
    )
