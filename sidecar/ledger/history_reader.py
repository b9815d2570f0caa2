"""Reads history.db: series over any span, log lines, the last memory samples of a container. From any thread."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sidecar.common.times import from_millis, millis, nanos
from sidecar.ledger.database import Readers
from sidecar.ledger.schema import HISTORY, SLOT_MS
from sidecar.model.history import HealthMinute, LogQuery, RecordedSeries, RunPoint, SeriesPoint, StoredLine
from sidecar.model.incident import MemorySample

_EVER_NS = 2**63 - 1
_LONGEST_PATTERN = 50_000  # bytes; SQLite refuses a longer one

# The span is half open: a figure at the moment `until` belongs to the next span. A slot of averages that began before
# the span reaches into it, so it counts at the span's start.
_SERIES = f"""
    SELECT c.container_id, c.name, c.project, c.service, c.number, MIN(at_ms),
        CAST(SUM(working_set * rows) / SUM(rows) AS INTEGER), MAX(working_set_max), MAX(usage_max), MAX(memory_limit),
        SUM(cpu * cpu_rows) / SUM(cpu_rows), MAX(cpu_max), MAX(throttled_max)
    FROM (
        SELECT at_ms, ref, 1 AS rows, cpu IS NOT NULL AS cpu_rows, cpu, cpu AS cpu_max, throttled AS throttled_max,
            working_set, working_set AS working_set_max, usage AS usage_max, memory_limit
        FROM samples WHERE at_ms >= :since AND at_ms < :until
        UNION ALL
        SELECT MAX(at_ms, :since), ref, rows, cpu_rows, cpu, cpu_max, throttled_max,
            working_set, working_set_max, usage_max, memory_limit
        FROM averages WHERE at_ms > :since - {SLOT_MS} AND at_ms < :until
    ) JOIN containers c USING (ref)
    WHERE (:project IS NULL OR c.project = :project)
    GROUP BY ref, (at_ms - :since) * :points / (:until - :since)
    ORDER BY c.service, c.number, c.name, ref, MIN(at_ms)"""  # noqa: S608 a constant of ours
_RUN_SERIES = f"""
    SELECT MIN(at_ms), substr(MAX(printf('%015d', at_ms) || state), 16), MAX(users),
        SUM(rps * rows) / SUM(rows), SUM(fail_per_second * rows) / SUM(rows), MAX(p50_ms), MAX(p95_ms), MIN(workers)
    FROM (
        SELECT at_ms, 1 AS rows, state, users, rps, fail_per_second, p50_ms, p95_ms, workers
        FROM run_points WHERE at_ms >= :since AND at_ms < :until
        UNION ALL
        SELECT MAX(at_ms, :since), rows, state, users, rps, fail_per_second, p50_ms, p95_ms, workers
        FROM run_averages WHERE at_ms > :since - {SLOT_MS} AND at_ms < :until
    ) GROUP BY (at_ms - :since) * :points / (:until - :since) ORDER BY 1"""  # noqa: S608 the same
_LINE_COLUMNS = "at_ns, container_id, text, name, project, service, stream, seq"
_LINES = f"""SELECT {_LINE_COLUMNS} FROM lines CROSS JOIN containers USING (ref)
    WHERE at_ns >= :since AND at_ns <= :until AND (:pattern IS NULL OR text LIKE :pattern ESCAPE '\\')
    ORDER BY at_ns DESC, seq DESC LIMIT :limit"""  # noqa: S608 the same
_LINES_OF_ONE = f"""SELECT {_LINE_COLUMNS} FROM lines INDEXED BY lines_by_container CROSS JOIN containers USING (ref)
    WHERE lines.ref = :ref AND at_ns >= :since AND at_ns <= :until
      AND (:pattern IS NULL OR text LIKE :pattern ESCAPE '\\')
    ORDER BY at_ns DESC, seq DESC LIMIT :limit"""  # noqa: S608 the same
_NAMED = "SELECT ref FROM containers WHERE name = :wanted OR service = :wanted"
_BY_ID = "SELECT ref FROM containers WHERE substr(container_id, 1, length(:wanted)) = :wanted"
_MEMORY = """SELECT at_ms, working_set, usage FROM samples JOIN containers USING (ref)
    WHERE container_id = :id AND at_ms >= :since AND at_ms <= :before ORDER BY at_ms DESC LIMIT :limit"""
_MEMORY_SPAN_MS = 600_000
_HEALTH = """SELECT at_ms, name, url, checks, passed, total_ms, most_ms, error FROM health
    WHERE at_ms >= :since AND at_ms < :until ORDER BY at_ms DESC LIMIT :limit"""
_ALL_LINES = LogQuery()


class HistoryReader:
    """Reads history.db; each call may raise LedgerError.

    Args:
        folder: where the ledger is.
    """

    def __init__(self, folder: Path) -> None:
        self._readers = Readers(folder / HISTORY.file_name)

    def close(self) -> None:
        """Close the file."""
        self._readers.close()

    def series(self, since: datetime, until: datetime, points: int, project: str | None = None) -> list[RecordedSeries]:
        """Return the figures of each container over [since, until), in at most `points` steps of equal length.

        Args:
            since: start of the span, included.
            until: end of the span, not included.
            points: number of steps in the span.
            project: only containers of this Compose project; None: all.
        """
        rows = self._readers.rows(_SERIES, _span(since, until, points) | {"project": project})
        by_container = groupby(rows, key=itemgetter(0, 1, 2, 3, 4))
        return [_series(who, tuple(map(_point, of_one))) for who, of_one in by_container]

    def run_series(self, since: datetime, until: datetime, points: int) -> list[RunPoint]:
        """Return the run's figures over [since, until), in at most `points` steps of equal length."""
        rows = self._readers.rows(_RUN_SERIES, _span(since, until, points))
        return [RunPoint(from_millis(row[0]), *row[1:]) for row in rows]

    def health(self, since: datetime, until: datetime, limit: int = 10_000) -> list[HealthMinute]:
        """Return the minutes of health checks over [since, until), newest first."""
        asked = {"since": millis(since), "until": millis(until), "limit": limit}
        return [HealthMinute(from_millis(row[0]), *row[1:]) for row in self._readers.rows(_HEALTH, asked)]

    def search(self, query: LogQuery = _ALL_LINES) -> list[StoredLine]:
        """Return the log lines that match a query, newest first."""
        asked: dict[str, object] = {
            "pattern": _pattern(query.text) if query.text else None,
            "since": 0 if query.since is None else nanos(query.since),
            "until": _EVER_NS if query.until is None else nanos(query.until) + 999,  # a line may be younger by < 1 µs
            "limit": query.limit,
        }
        if len(str(asked["pattern"]).encode()) > _LONGEST_PATTERN:
            return []  # no line is that long
        if query.container is None:
            return [StoredLine(*row[:7]) for row in self._readers.rows(_LINES, asked)]
        refs = self._refs(query.container)
        rows = [row for ref in refs for row in self._readers.rows(_LINES_OF_ONE, asked | {"ref": ref})]
        rows.sort(key=itemgetter(0, 7), reverse=True)
        return [StoredLine(*row[:7]) for row in rows[: query.limit]]

    def recent(self, container_id: str, before: datetime, most: int) -> tuple[MemorySample, ...]:
        """Return the container's last samples in the ten minutes up to that moment, oldest first, at most `most`."""
        at = millis(before)
        asked = {"id": container_id, "before": at, "since": at - _MEMORY_SPAN_MS, "limit": most}
        rows = self._readers.rows(_MEMORY, asked)
        return tuple(MemorySample(from_millis(at_ms), held, usage) for at_ms, held, usage in reversed(rows))

    def _refs(self, wanted: str) -> list[int]:
        if not wanted:
            return []
        refs = self._readers.rows(_NAMED, {"wanted": wanted}) or self._readers.rows(_BY_ID, {"wanted": wanted})
        return [int(row[0]) for row in refs]


def _span(since: datetime, until: datetime, points: int) -> dict[str, object]:
    began, ends = millis(since), millis(until)
    return {"since": began, "until": max(ends, began + 1), "points": max(1, points)}


def _series(who: tuple[Any, ...], points: tuple[SeriesPoint, ...]) -> RecordedSeries:
    container_id, name, project, service, index = who
    return RecordedSeries(container_id, name, project, service, index, points)


def _point(row: tuple[Any, ...]) -> SeriesPoint:
    at_ms, *figures = row[5:]
    return SeriesPoint(from_millis(at_ms), *figures)


def _pattern(text: str) -> str:
    """Return the LIKE pattern that finds this very text, whatever characters are in it."""
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
