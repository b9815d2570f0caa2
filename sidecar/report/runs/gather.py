"""A run whole: its folder, and what the ledger holds of its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sidecar.common.errors import LedgerError
from sidecar.ledger.archive import LedgerArchive
from sidecar.model.history import IncidentQuery, RecordedSeries
from sidecar.model.incident import FINAL
from sidecar.model.run_record import RunRecord
from sidecar.report.runs import folder

_LEAST_BEFORE_SECONDS, _LOOKS = 30.0, 3.0  # a run may be shorter than the time between two looks at the containers
_AFTER = timedelta(seconds=2)  # what broke in a run's last second is known a little later
_MOST_INCIDENTS = 2000
_POINTS = 600
_UNWATCHED = "nobody can tell what happened to the containers"


def gather(
    runs: Path,
    run_id: str,
    archive: LedgerArchive | None,
    project: str,
    clock: Callable[[], datetime],
    look_seconds: float,
) -> RunRecord:
    """All that is on the disk of a run; `look_seconds` is how often the sidecar looks at the containers.

    Raises:
        NoSuchRunError: there is none of this id.

    """
    found = replace(folder.read(runs, run_id, clock()), look_seconds=look_seconds)
    before = timedelta(seconds=max(_LEAST_BEFORE_SECONDS, _LOOKS * look_seconds))
    if archive is None:
        return replace(found, unwatched=f"{_UNWATCHED}: there is no ledger")
    until = clock() if found.is_going else found.until
    try:
        query = IncidentQuery(found.started_at, until + _AFTER, limit=_MOST_INCIDENTS, newest_first=False)
        incidents = [one for one in archive.incidents(query) if one.project in (None, project)]
        series = archive.series(found.started_at - before, until + timedelta(milliseconds=1), _POINTS, project)
    except LedgerError as error:
        return replace(found, unwatched=f"{_UNWATCHED}: {error.line()}")
    return replace(
        found,
        incidents=tuple(incident for incident in incidents if incident.at <= until),
        series=tuple(_within(series, found.started_at)),
        watched_until=max((one.points[-1].at for one in series if one.points), default=None),
        settled=clock() - until > _AFTER
        and all(incident.state == FINAL or incident.until is None for incident in incidents),
    )


def _within(series: Sequence[RecordedSeries], since: datetime) -> Iterator[RecordedSeries]:
    """The figures from then on; containers without any are left out."""
    for recorded_series in series:
        points = tuple(point for point in recorded_series.points if point.at >= since)
        if points:
            yield replace(recorded_series, points=points)
