"""Make the record of a run from disk: the plugin's files (its run_recorder.py) and the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidecar.common import strict_json
from sidecar.common.errors import KitError, LedgerError
from sidecar.common.times import parse_time
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.model.history import IncidentQuery
from sidecar.model.incident import FINAL, Incident, IncidentKind
from sidecar.model.run_record import Moment, RunRecord

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4,32}")
_MOST_MOMENTS = 7200  # of a longer run, only every second, third ... line is read
_STALL = timedelta(seconds=15)  # the master writes each second; after a pause of this length it is gone
_LEAST_BEFORE_SECONDS, _LOOKS = 30.0, 3.0  # a run may be shorter than the time between two rounds
_AFTER = timedelta(seconds=2)  # an incident of a run's last second is known a little later
_RECORDED_LATE = timedelta(seconds=20)  # on a busy machine the monitor writes a little later
_MOST_INCIDENTS = 2000
_POINTS = 600
_UNWATCHED = "it is unknown what happened to the containers"
_COUNTS = (
    "users",
    "target_users",
    "dispatched_users",
    "requests",
    "failures",
    "workers",
    "workers_expected",
    "worker_hosts",
)
_RATES = ("rps", "fail_per_second", "cpu_percent", "master_cpu_percent")


class NoSuchRunError(KitError):
    """There is no run of this id."""


class UnreadableRunError(NoSuchRunError):
    """There is a folder of this run, and its files cannot be read."""


def ids(runs: Path) -> list[str]:
    """Return the ids of all runs that left a folder, oldest first."""
    try:
        return sorted(folder.name for folder in runs.iterdir() if RUN_ID.fullmatch(folder.name))
    except OSError:
        return []


def gather(
    runs: Path,
    run_id: str,
    archive: LedgerArchive | None,
    project: str,
    clock: Callable[[], datetime],
    look_seconds: float,
) -> RunRecord:
    """Return the record of a run from disk. `look_seconds` is the interval of the monitor's rounds.

    Raises:
        NoSuchRunError: no run has this id.

    """
    record = replace(read(runs, run_id, clock()), look_seconds=look_seconds)
    before = timedelta(seconds=max(_LEAST_BEFORE_SECONDS, _LOOKS * look_seconds))
    if archive is None:
        return replace(record, unwatched=f"{_UNWATCHED}: the monitor has no ledger")
    until = clock() if record.is_running else record.until
    query = IncidentQuery(record.started_at, until + _AFTER, limit=_MOST_INCIDENTS, newest_first=False)
    try:
        incidents = [incident for incident in archive.incidents(query) if incident.project in (None, project)]
        recorded_until = archive.recorded_until()
        series = archive.series(record.started_at - before, until + timedelta(milliseconds=1), _POINTS, project)
    except LedgerError as error:
        return replace(record, unwatched=f"{_UNWATCHED}: {error.line()}")
    return replace(
        record,
        incidents=tuple(incident for incident in incidents if incident.at <= until and _concerns(incident, run_id)),
        series=tuple(
            replace(container, points=points)
            for container in series
            if (points := tuple(point for point in container.points if point.at >= record.started_at))
        ),
        recorded_until=recorded_until,
        watched_until=max((container.points[-1].at for container in series if container.points), default=None),
        settled=clock() - until > (_AFTER if recorded_until is None or recorded_until >= until else _RECORDED_LATE)
        and all(incident.state == FINAL or incident.until is None for incident in incidents),
    )


def _concerns(incident: Incident, run_id: str) -> bool:
    """Return whether an incident belongs to a run. A share of failures belongs to the run with these failures."""
    return incident.kind is not IncidentKind.FAILURE_RATIO or incident.run_id in (None, "", run_id)


def read(runs: Path, run_id: str, now: datetime) -> RunRecord:
    """Return the plugin's files of a run, even if incomplete.

    Raises:
        NoSuchRunError: there is no folder of this id.
        UnreadableRunError: the folder has no readable run.json.

    """
    folder = runs / run_id
    if not RUN_ID.fullmatch(run_id) or not folder.is_dir():
        raise NoSuchRunError(f"there is no run {run_id!r:.60}", wanted="the id of a run", fix="make report")
    begin, end = document(folder / "run.json"), document(folder / "end.json")
    started_at, ended_at = _time(begin.get("started_at")), _time(end.get("ended_at"))
    if started_at is None:
        raise UnreadableRunError(f"run {run_id} cannot be read: its run.json is missing or damaged")
    moments = tuple(_moments(folder / "timeline.ndjson"))
    last = moments[-1].at if moments else last_change(folder)
    return RunRecord(
        run_id=run_id,
        started_at=started_at,
        ended_at=ended_at,
        last_sign_at=last,
        is_running=ended_at is None and last is not None and now - last < _STALL,
        begin=begin,
        end=end,
        moments=moments,
        statistics=document(folder / "statistics.json"),
        groups=document(folder / "failure_groups.json"),
        performance=document(folder / "performance.json"),
        meters=_meters(end),
    )


def _time(text: object) -> datetime | None:
    """Return the time in a text; None where there is no time."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None


def last_change(run: Path) -> datetime | None:
    """Return when the plugin last wrote to a run's folder; None if the folder is missing."""
    times = []
    for name in ("run.json", "timeline.ndjson", "end.json"):
        try:
            times.append((run / name).stat().st_mtime)
        except OSError:
            continue
    return datetime.fromtimestamp(max(times), UTC) if times else None


def document(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if it cannot be read or is not an object."""
    try:
        content = strict_json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _meters(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the workers measured, by meter; other values than objects are left out."""
    meters = row.get("meters")
    return {name: of for name, of in (meters if isinstance(meters, dict) else {}).items() if isinstance(of, dict)}


def _moments(path: Path) -> Iterator[Moment]:
    """Yield the lines of the timeline, always including the last one. Incomplete and invalid lines are left out."""
    try:
        with path.open("rb") as file:
            count = sum(1 for _ in file)
            file.seek(0)
            each = count // _MOST_MOMENTS + 1
            for number, line in enumerate(file):
                if (number % each == 0 or number == count - 1) and (moment := _moment(line)) is not None:
                    yield moment
    except OSError:
        return


def _moment(line: bytes) -> Moment | None:
    try:
        row = strict_json.loads(line)
        at = parse_time(row["at"])
        counts: dict[str, Any] = {name: int(row.get(name) or 0) for name in _COUNTS}
        rates: dict[str, Any] = {name: float(row.get(name) or 0.0) for name in _RATES}
        return Moment(
            at=at,
            state=str(row.get("state") or ""),
            p50_ms=row.get("p50_ms"),
            p95_ms=row.get("p95_ms"),
            classes=dict(row.get("classes") or {}),
            missing=tuple(map(str, row.get("missing") or ())),
            meters=_meters(row),
            **counts,
            **rates,
        )
    except (ValueError, KeyError, TypeError):
        return None
