"""Writing history.db: one transaction a piece of work. For one thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sidecar.ledger.database import file_bytes, open_database, transaction, was_removed
from sidecar.ledger.history_prune import prune_age, prune_size, roll_up
from sidecar.ledger.moments import micros, millis
from sidecar.ledger.pending import RoundSamples, Work
from sidecar.ledger.retention import Retention
from sidecar.ledger.schema import HISTORY, LEDGER
from sidecar.model.logs import LogCursor, LogPosition, StoredLine
from sidecar.model.records import HealthMinute, RunPoint, Sample

_LARGEST = 2**63 - 1  # what a column holds; a container without a limit may be said to have 2^64 - 1
_SEEN_AGAIN_MS = 600_000
_MS_NS = 1_000_000

_UPSERT_CONTAINER = """INSERT INTO containers (container_id, name, project, service, number, seen_ms)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (container_id) DO UPDATE SET
        name = COALESCE(NULLIF(excluded.name, ''), name), project = COALESCE(excluded.project, project),
        service = COALESCE(excluded.service, service), number = COALESCE(excluded.number, number),
        seen_ms = MAX(seen_ms, excluded.seen_ms)
    RETURNING ref"""
_INSERT_SAMPLE = "INSERT OR REPLACE INTO samples VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_RUN_POINT = "INSERT OR REPLACE INTO run_points VALUES (?,?,?,?,?,?,?,?)"
_INSERT_LINE = "INSERT OR IGNORE INTO lines VALUES (?,?,?,?,?)"
_KEEP_HEALTH = "INSERT OR REPLACE INTO health VALUES (?,?,?,?,?,?,?,?)"
_KEEP_CURSOR = "INSERT OR REPLACE INTO cursors VALUES (?,?,?)"

_Who = tuple[str, str | None, str | None, int | None]


@dataclass(frozen=True, slots=True)
class _KnownContainer:
    ref: int
    who: _Who
    seen_ms: int


class HistoryWriter:
    """Owns the file for writing.

    Args:
        folder: where the ledger is.
        clock: the time of day.
        retention: how long and how much is kept.
        damage: what was found wrong with the file while it was in use; it is moved aside then.

    Raises:
        LedgerError: it cannot be opened.

    """

    def __init__(self, folder: Path, clock: Callable[[], datetime], retention: Retention, *, damage: str = "") -> None:
        self._folder = folder
        self._clock = clock
        self._retention = retention
        self._known: dict[str, _KnownContainer] = {}
        # Lines of the same nanosecond stay apart, and in order, by a number that no earlier sidecar can have reached.
        self._sequence = micros(clock())
        opened = open_database(folder, HISTORY, clock(), damage=damage)
        self._connection = opened.connection
        self._inode = opened.inode
        self.note = opened.note

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def removed(self) -> bool:
        """Whether somebody has removed the file: what is written now is lost."""
        return was_removed(self._folder / HISTORY.file_name, self._inode)

    def write(self, work: Work) -> None:
        """Write all of it, or, raising sqlite3.Error, nothing."""
        try:
            with transaction(self._connection):
                self._connection.executemany(_INSERT_SAMPLE, self._sample_rows(work.rounds))
                self._connection.executemany(_INSERT_RUN_POINT, map(_run_row, work.run_points))
                self._connection.executemany(_INSERT_LINE, self._line_rows(work.lines))
                self._connection.executemany(_KEEP_CURSOR, _cursor_rows(work.cursors))
                self._connection.executemany(_KEEP_HEALTH, map(_health_row, work.health))
        except BaseException:
            self._known.clear()  # what was said of containers in this transaction was taken back with it
            raise

    def prune(self) -> None:
        """Roll up, and delete what is too old or too much; sqlite3.Error when it could not be done."""
        now = self._clock()
        self._known.clear()
        roll_up(self._connection, now)
        prune_age(self._connection, self._retention.oldest(now))
        prune_size(self._connection, self._retention.history_bytes(file_bytes(self._folder, LEDGER)))

    def cursors(self) -> dict[str, LogCursor]:
        """Return how far each container's log was read; sqlite3.Error when it cannot be said."""
        rows = self._connection.execute("SELECT container_id, marks FROM cursors").fetchall()
        return {container_id: _cursor(json.loads(marks)) for container_id, marks in rows}

    def container_ids(self) -> frozenset[str]:
        """Return the containers of which there is anything in the file; sqlite3.Error when it cannot be said."""
        return frozenset(row[0] for row in self._connection.execute("SELECT container_id FROM containers"))

    def _sample_rows(self, rounds: Sequence[RoundSamples]) -> Iterator[tuple[object, ...]]:
        for one in rounds:
            for sample in one.samples:
                who = (sample.name, sample.project, sample.service, sample.index)
                yield (one.at_ms, self._ref(sample.container_id, who, one.at_ms), *_figures(sample))

    def _line_rows(self, batches: Sequence[Sequence[StoredLine]]) -> Iterator[tuple[object, ...]]:
        for batch in batches:
            for line in batch:
                self._sequence += 1
                yield (line.ns, self._sequence, self._ref_of_line(line), line.stream, line.text)

    def _ref_of_line(self, line: StoredLine) -> int:
        at_ms = line.ns // _MS_NS
        known = self._known.get(line.container_id)
        if known and at_ms - known.seen_ms < _SEEN_AGAIN_MS:
            return known.ref  # a sample knows more of a container than a line does
        return self._ref(line.container_id, (line.name, line.project, line.service, None), at_ms)

    def _ref(self, container_id: str, who: _Who, at_ms: int) -> int:
        known = self._known.get(container_id)
        if known and known.who == who and at_ms - known.seen_ms < _SEEN_AGAIN_MS:
            return known.ref
        ref = int(self._connection.execute(_UPSERT_CONTAINER, (container_id, *who, at_ms)).fetchone()[0])
        self._known[container_id] = _KnownContainer(ref, who, at_ms)
        return ref


def _figures(sample: Sample) -> tuple[object, ...]:
    sizes = (
        sample.working_set_bytes,
        sample.usage_bytes,
        sample.limit_bytes,
        sample.network_rx_bytes,
        sample.network_tx_bytes,
        sample.block_read_bytes,
        sample.block_write_bytes,
        sample.pids,
        sample.restarts,
        sample.oom_kills,
    )
    return (sample.cpu_percent, sample.throttled_percent, *map(_fitting, sizes))


def _fitting(value: int | None) -> int | None:
    return None if value is None else min(value, _LARGEST)


def _health_row(health_minute: HealthMinute) -> tuple[object, ...]:
    return (
        millis(health_minute.at),
        health_minute.name,
        health_minute.url,
        health_minute.checks,
        health_minute.passed,
        health_minute.total_ms,
        health_minute.most_ms,
        health_minute.error,
    )


def _run_row(point: RunPoint) -> tuple[object, ...]:
    rates = (point.rps, point.fail_per_second, point.p50_ms, point.p95_ms)
    return (millis(point.at), point.state, point.users, *rates, point.workers)


def _cursor_rows(cursors: Mapping[str, LogCursor]) -> Iterator[tuple[object, ...]]:
    for container_id, cursor in cursors.items():
        marks = {stream: (mark.ns, mark.lines) for stream, mark in cursor.marks.items()}
        newest = max((mark.ns for mark in cursor.marks.values()), default=0)
        yield (container_id, newest, json.dumps(marks))


def _cursor(marks: dict[str, Any]) -> LogCursor:
    return LogCursor({stream: LogPosition(ns, lines) for stream, (ns, lines) in marks.items()})
