"""Reading the folders of runs, which the plugin writes (locustfiles/locust_kit/run_recorder.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidecar.common.errors import KitError
from sidecar.common.times import parse_time
from sidecar.model.run_record import Moment, RunRecord

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4,32}")
_MOST_MOMENTS = 7200  # of a longer run, each second, third ... one
_GOING = timedelta(seconds=15)  # the master writes each second; a stall this long is a master that is gone


class NoSuchRunError(KitError):
    """There is no run of this id."""


def ids(runs: Path) -> list[str]:
    """The ids of all runs that left a folder, oldest first."""
    try:
        return sorted(one.name for one in runs.iterdir() if RUN_ID.fullmatch(one.name))
    except OSError:
        return []


def read(runs: Path, run_id: str, now: datetime) -> RunRecord:
    """What the plugin wrote of a run, whole or not.

    Raises:
        NoSuchRunError: it wrote nothing, or the id is none.

    """
    folder = runs / run_id
    begin = document(folder / "run.json") if RUN_ID.fullmatch(run_id) else {}
    if not begin:
        raise NoSuchRunError(f"there is no run {run_id!r:.60}", wanted="the id of one", fix="make report")
    end = document(folder / "end.json")
    moments = tuple(_moments(folder / "timeline.ndjson"))
    last = _last_sign(folder, moments)
    ended_at = parse_time(end["ended_at"]) if end.get("ended_at") else None
    return RunRecord(
        run_id=run_id,
        started_at=parse_time(str(begin["started_at"])),
        ended_at=ended_at,
        last_sign_at=last,
        is_going=ended_at is None and last is not None and now - last < _GOING,
        begin=begin,
        end=end,
        moments=moments,
        statistics=document(folder / "statistics.json"),
        groups=document(folder / "failure_groups.json"),
        performance=document(folder / "performance.json"),
    )


def last_change(run: Path) -> datetime | None:
    """When the plugin last wrote to a run's folder; None when there is nothing of it."""
    times = []
    for name in ("run.json", "timeline.ndjson", "end.json"):
        try:
            times.append((run / name).stat().st_mtime)
        except OSError:
            continue
    return datetime.fromtimestamp(max(times), UTC) if times else None


def document(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when it cannot be read, or is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_sign(folder: Path, moments: tuple[Moment, ...]) -> datetime | None:
    return moments[-1].at if moments else last_change(folder)


def _moments(path: Path) -> Iterator[Moment]:
    """The lines of the timeline, the last one always; one that is cut off or no such line is left out."""
    try:
        with path.open("rb") as file:
            count = sum(1 for _ in file)
            file.seek(0)
            each = count // _MOST_MOMENTS + 1
            for number, line in enumerate(file):
                if (number % each == 0 or number == count - 1) and (found := _moment(line)) is not None:
                    yield found
    except OSError:
        return


def _moment(line: bytes) -> Moment | None:
    try:
        row = json.loads(line)
        return Moment(
            at=parse_time(row["at"]),
            state=str(row.get("state") or ""),
            users=int(row.get("users") or 0),
            target_users=int(row.get("target_users") or 0),
            requests=int(row.get("requests") or 0),
            failures=int(row.get("failures") or 0),
            rps=float(row.get("rps") or 0.0),
            fail_per_second=float(row.get("fail_per_second") or 0.0),
            p50_ms=row.get("p50_ms"),
            p95_ms=row.get("p95_ms"),
            classes=dict(row.get("classes") or {}),
            workers=int(row.get("workers") or 0),
            missing=tuple(map(str, row.get("missing") or ())),
            cpu_percent=float(row.get("cpu_percent") or 0.0),
            master_cpu_percent=float(row.get("master_cpu_percent") or 0.0),
        )
    except (ValueError, KeyError, TypeError):
        return None
