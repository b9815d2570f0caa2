"""What the web server needs of the sidecar: the present (`BoardView`), the past (`Archive`), the text of the metrics.

Protocols, so that the routes can be tested without SQLite, and so that the ledger need not know of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from sidecar.model.history import IncidentQuery, LogQuery, RecordedSeries, RunPoint, StoredLine
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Blind, Snapshot
from sidecar.monitor.board import Upserts


class BoardView(Protocol):
    """The present. All calls come from the event loop's thread and none of them blocks."""

    @property
    def version(self) -> int:
        """A number that rises with each new Snapshot, with each incident that came or changed, and at the end."""

    def passed(self) -> bool:
        """Tell whether rounds are being made."""

    def current(self) -> Snapshot | None:
        """Return the newest Snapshot, marked stale when it is overdue; None before the first."""

    def json(self) -> bytes | None:
        """Return the newest Snapshot as JSON, the same object while the Snapshot is the same; None before the first."""

    async def changed(self, since: int) -> None:
        """Wait until the version is no longer `since`."""

    def incidents_since(self, mark: int | None) -> Upserts:
        """Return what was committed after `mark`; None asks for today's mark alone, with no incidents."""


class Archive(Protocol):
    """The past. Called from threads, several at once; each may raise LedgerError."""

    def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        """Return incidents, newest first."""

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident with all of its evidence; None when there is none of this id."""

    def blind(self, since: datetime | None, until: datetime | None) -> Sequence[Blind]:
        """Return the spans without sight that touch this one, oldest first."""

    def series(self, since: datetime, until: datetime, points: int) -> Sequence[RecordedSeries]:
        """Return every container's figures in the span, in about so many steps each."""

    def run_series(self, since: datetime, until: datetime, points: int) -> Sequence[RunPoint]:
        """Return the master's figures in the span, oldest first, in about so many steps."""

    def search(self, query: LogQuery) -> Sequence[StoredLine]:
        """Return log lines, newest first."""


# Writes Prometheus's text about the newest Snapshot, None before the first, and with or without locust_exporter's
# unsound name (`legacy`): views.metrics with all else bound to it.
Metrics = Callable[[Snapshot | None, bool], str]
