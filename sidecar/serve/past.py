"""The past as the routes ask for it, from the ledger's two readers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sidecar.ledger.reader import LedgerReader
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.logs import StoredLine
from sidecar.model.records import RecordedSeries, RunPoint
from sidecar.model.snapshot import Blind
from sidecar.serve.archive import IncidentQuery, LogQuery

_MOST_SPANS = 1000


class HistorySource(Protocol):
    """What is asked of History, or of a HistoryReader beside it."""

    def series(self, *, since: datetime, until: datetime, points: int) -> list[RecordedSeries]:
        """Return every container's figures."""

    def run_series(self, *, since: datetime, until: datetime, points: int) -> list[RunPoint]:
        """Return the run's figures."""

    def search(
        self,
        text: str = "",
        *,
        container: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 200,
    ) -> list[StoredLine]:
        """Return log lines, newest first."""


class LedgerArchive:
    """The Archive over a ledger's folder."""

    def __init__(self, ledger: LedgerReader, figures: HistorySource) -> None:
        self._ledger = ledger
        self._figures = figures

    def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        """Return incidents, newest first."""
        return self._ledger.incidents(
            since=query.since,
            until=query.until,
            kinds=query.kinds,
            project=query.project,
            limit=query.limit,
            helpers=query.helpers,
        )

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident with all of its evidence; None when there is none of this id."""
        return self._ledger.incident(incident_id)

    def blind(self, since: datetime | None, until: datetime | None) -> Sequence[Blind]:
        """Return the spans without sight that touch this one, oldest first."""
        found = self._ledger.incidents(since=since, until=until, kinds=(IncidentKind.BLIND,), limit=_MOST_SPANS)
        return [_span(incident) for incident in reversed(found)]

    def series(self, since: datetime, until: datetime, points: int) -> Sequence[RecordedSeries]:
        """Return every container's figures in the span."""
        return self._figures.series(since=since, until=until, points=points)

    def run_series(self, since: datetime, until: datetime, points: int) -> Sequence[RunPoint]:
        """Return the master's figures in the span."""
        return self._figures.run_series(since=since, until=until, points=points)

    def search(self, query: LogQuery) -> Sequence[StoredLine]:
        """Return log lines, newest first."""
        return self._figures.search(
            query.text, container=query.container, since=query.since, until=query.until, limit=query.limit
        )


def _span(incident: Incident) -> Blind:
    """Read the span that a blind incident tells of: one that ended and was made up for is no warning any more."""
    return Blind(
        since=incident.at,
        until=incident.until,
        source=next((one.text for one in incident.evidence if one.what == "span"), "sidecar"),
        covered=incident.until is not None and incident.severity is Severity.INFO,
        text=incident.text,
    )
