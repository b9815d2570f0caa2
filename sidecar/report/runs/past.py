"""What the ledger holds of a run's time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sidecar.ledger.reader import LedgerReader
from sidecar.model.incident import Incident
from sidecar.model.records import RecordedSeries


class HistoryQueries(Protocol):
    """What is asked of History, or of a HistoryReader beside it."""

    def series(
        self, *, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> list[RecordedSeries]:
        """Return the figures of each container of a project."""


class LedgerPast:
    """Reads a ledger's two files, beside its writer or after it."""

    def __init__(self, ledger: LedgerReader, figures: HistoryQueries) -> None:
        self._ledger = ledger
        self._figures = figures

    def run_incidents(self, since: datetime, until: datetime, project: str, limit: int) -> Sequence[Incident]:
        """Return the incidents that touch the span, oldest first: those of the project, and those of none."""
        found = self._ledger.incidents(since=since, until=until, limit=limit, newest_first=False)
        return [one for one in found if one.project in (None, project)]

    def run_containers(self, since: datetime, until: datetime, project: str, points: int) -> Sequence[RecordedSeries]:
        """Return the figures of the project's containers in the span."""
        return self._figures.series(since=since, until=until, points=points, project=project)
