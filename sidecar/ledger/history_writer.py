"""The data that waits for history, its writing to history.db in single transactions, and the retention.

`Pending` is bounded, so that a slow disk or a flood costs history, not memory. HistoryWriter is for one thread.

Samples older than two hours become averages. The oldest rows are deleted, and rows beyond the size limit.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

from sidecar.common.times import MILLISECOND_NS, micros, millis
from sidecar.ledger.database import Database, file_bytes, give_back, transaction, used_bytes
from sidecar.ledger.schema import HISTORY, LEDGER, SLOT_MS, Retention
from sidecar.model.history import HealthMinute, LogCursor, LogPosition, RunPoint, Sample, StoredLine

MOST_BYTES = 16 * 1024 * 1024
_SAMPLE_BYTES = 400  # about what one takes in memory, with all its fields
_LINE_BYTES = 300  # the same, without the text


@dataclass(frozen=True, slots=True)
class RoundSamples:
    """The samples of one round."""

    at_ms: int
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much was dropped because too much waited already."""

    samples: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """The data of one transaction. The cursors are how far the logs were read, up to these lines."""

    rounds: Sequence[RoundSamples] = ()
    run_points: Sequence[RunPoint] = ()
    lines: Sequence[Sequence[StoredLine]] = ()
    cursors: Mapping[str, LogCursor] = field(default_factory=dict)
    health: Sequence[HealthMinute] = ()

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return bool(self.rounds or self.run_points or self.lines or self.cursors or self.health)


class Pending:
    """Takes data from any thread without waiting, and gives all of it to the writer.

    Beyond `most_bytes` the oldest rounds are dropped first, then the oldest lines. Dropped data is counted.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._rounds: deque[RoundSamples] = deque()
        self._run_points: deque[RunPoint] = deque(maxlen=10_000)
        self._health: deque[HealthMinute] = deque(maxlen=10_000)
        self._lines: deque[Sequence[StoredLine]] = deque()
        self._cursors: dict[str, LogCursor] = {}
        self._dropped_samples = 0
        self._dropped_lines = 0

    def add_round(self, round_samples: RoundSamples) -> None:
        """Add the samples of one round."""
        with self._lock:
            self._rounds.append(round_samples)
            self._bytes += _round_bytes(round_samples)
            self._shed()

    def add_run_point(self, point: RunPoint) -> None:
        """Add the run's figures of one round."""
        with self._lock:
            self._run_points.append(point)

    def add_health(self, minutes: Sequence[HealthMinute]) -> None:
        """Add minutes of health checks."""
        with self._lock:
            self._health.extend(minutes)

    def add_lines(self, lines: Sequence[StoredLine], cursors: Mapping[str, LogCursor]) -> None:
        """Add lines, and how far their logs have been read."""
        with self._lock:
            if lines:
                self._lines.append(lines)
                self._bytes += _lines_bytes(lines)
            self._cursors.update(cursors)
            self._shed()

    def take(self) -> Work:
        """Return all waiting data, and forget it."""
        with self._lock:
            health = tuple(self._health)
            work = Work(tuple(self._rounds), tuple(self._run_points), tuple(self._lines), self._cursors, health)
            self._health.clear()
            self._rounds.clear()
            self._run_points.clear()
            self._lines.clear()
            self._cursors = {}
            self._bytes = 0
        return work

    def dropped(self) -> Dropped:
        """Return how much was dropped since the start."""
        with self._lock:
            return Dropped(self._dropped_samples, self._dropped_lines)

    def _shed(self) -> None:
        while self._bytes > self._most_bytes and self._rounds:
            gone = self._rounds.popleft()
            self._bytes -= _round_bytes(gone)
            self._dropped_samples += len(gone.samples)
        while self._bytes > self._most_bytes and self._lines:
            lost = self._lines.popleft()
            self._bytes -= _lines_bytes(lost)
            self._dropped_lines += len(lost)


def _round_bytes(round_samples: RoundSamples) -> int:
    return _SAMPLE_BYTES * (1 + len(round_samples.samples))


def _lines_bytes(lines: Sequence[StoredLine]) -> int:
    return sum(_LINE_BYTES + len(line.text) for line in lines)


_LARGEST = 2**63 - 1  # the largest value of a column; a container without a limit may report 2^64 - 1
_SEEN_AGAIN_MS = 600_000

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

# A sample's figures, in the order of the columns.
_FIGURES = attrgetter(
    *("cpu_percent", "throttled_percent", "working_set_bytes", "usage_bytes", "limit_bytes"),
    *("network_rx_bytes", "network_tx_bytes", "block_read_bytes", "block_write_bytes", "pids", "restarts", "oom_kills"),
)

_Who = tuple[str, str | None, str | None, int | None]
RAW = timedelta(hours=2)
_MOST_STEPS = 200  # in one call; the writer has other work
_STEPS_OF_ROWS = (500, 50, 5, 1)  # small enough to delete little more than necessary, even if the lines are long
_MOST_CURSORS = 10_000  # kept whatever their age, so that a quiet container's log is not read again
# A late sample (the clock was set back) may find its slot filled: then both are merged, weighted by their rows.
_ROLL_UP = f"""INSERT INTO averages
    SELECT at_ms / {SLOT_MS} * {SLOT_MS} AS slot, ref, COUNT(*), COUNT(cpu), AVG(cpu), MAX(cpu), MAX(throttled),
        AVG(working_set), MAX(working_set), MAX(usage), MAX(memory_limit),
        MAX(network_rx), MAX(network_tx), MAX(block_read), MAX(block_write), MAX(pids), MAX(restarts), MAX(oom_kills)
    FROM samples WHERE at_ms < :edge GROUP BY slot, ref
    ON CONFLICT (at_ms, ref) DO UPDATE SET
        rows = rows + excluded.rows, cpu_rows = cpu_rows + excluded.cpu_rows,
        cpu = (COALESCE(cpu, 0) * cpu_rows + COALESCE(excluded.cpu, 0) * excluded.cpu_rows)
            / NULLIF(cpu_rows + excluded.cpu_rows, 0),
        cpu_max = MAX(COALESCE(cpu_max, excluded.cpu_max), COALESCE(excluded.cpu_max, cpu_max)),
        throttled_max = MAX(COALESCE(throttled_max, excluded.throttled_max),
            COALESCE(excluded.throttled_max, throttled_max)),
        working_set = (working_set * rows + excluded.working_set * excluded.rows) / (rows + excluded.rows),
        working_set_max = MAX(working_set_max, excluded.working_set_max),
        usage_max = MAX(usage_max, excluded.usage_max)"""  # noqa: S608 a constant of ours
_ROLL_UP_RUN = f"""INSERT INTO run_averages
    SELECT at_ms / {SLOT_MS} * {SLOT_MS} AS slot, COUNT(*), substr(MAX(printf('%015d', at_ms) || state), 16),
        MAX(users), AVG(rps), AVG(fail_per_second), MAX(p50_ms), MAX(p95_ms), MIN(workers)
    FROM run_points WHERE at_ms < :edge GROUP BY slot
    ON CONFLICT (at_ms) DO NOTHING"""  # noqa: S608 the same
_BEFORE = {
    "samples": "DELETE FROM samples WHERE at_ms < :ms",
    "averages": "DELETE FROM averages WHERE at_ms < :ms",
    "run_points": "DELETE FROM run_points WHERE at_ms < :ms",
    "run_averages": "DELETE FROM run_averages WHERE at_ms < :ms",
    "health": "DELETE FROM health WHERE at_ms < :ms",
    "lines": "DELETE FROM lines WHERE at_ns < :ns",
}
_NTH_OLDEST = (
    "SELECT at_ms FROM samples ORDER BY at_ms LIMIT 1 OFFSET :n",
    "SELECT at_ms FROM averages ORDER BY at_ms LIMIT 1 OFFSET :n",
    "SELECT at_ns / 1000000 FROM lines ORDER BY at_ns LIMIT 1 OFFSET :n",
)
_OLD_CURSORS = """DELETE FROM cursors WHERE container_id NOT IN (
    SELECT container_id FROM cursors ORDER BY ns DESC LIMIT :most)"""


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

    Raises:
        LedgerError: the file cannot be opened.

    """

    def __init__(self, folder: Path, clock: Callable[[], datetime], retention: Retention) -> None:
        self._folder = folder
        self._clock = clock
        self._retention = retention
        self._known: dict[str, _KnownContainer] = {}
        # A sequence number keeps lines of one nanosecond apart and in order. No earlier monitor can have reached it.
        self._sequence = micros(clock())
        self._file = Database(folder, HISTORY, clock)
        self._connection = self._file.sound()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one sentence for each file that was moved aside or removed."""
        return self._file.notes

    def notice_damage(self, error: sqlite3.Error) -> bool:
        """Return whether an error means that the file is damaged; the next write then begins a new file."""
        return self._file.notice_damage(error)

    def earlier(self) -> tuple[frozenset[str], dict[str, LogCursor]]:
        """Return the containers in the file, and how far each log was read. A damaged file is replaced."""
        try:
            return self._container_ids(), self._cursors()
        except sqlite3.DatabaseError as error:
            if not self.notice_damage(error):
                self.close()
                raise
            return self._container_ids(), self._cursors()

    def write(self, work: Work) -> None:
        """Write all of the data, or nothing if it raises sqlite3.Error."""
        connection = self._sound()
        try:
            with transaction(connection):
                connection.executemany(_INSERT_SAMPLE, self._sample_rows(work.rounds))
                connection.executemany(_INSERT_RUN_POINT, map(_row, work.run_points))
                connection.executemany(_INSERT_LINE, self._line_rows(work.lines))
                connection.executemany(_KEEP_CURSOR, _cursor_rows(work.cursors))
                connection.executemany(_KEEP_HEALTH, map(_row, work.health))
        except BaseException:
            self._known.clear()  # the transaction's rows of containers were rolled back
            raise

    def prune(self) -> None:
        """Roll up old samples, and delete what is too old or too much; raises sqlite3.Error if it fails."""
        now, connection = self._clock(), self._sound()
        self._known.clear()
        roll_up(connection, now)
        prune_age(connection, self._retention.oldest(now))
        prune_size(connection, self._retention.history_bytes(file_bytes(self._folder, LEDGER)))

    def _sound(self) -> sqlite3.Connection:
        """Return the connection. A new file has no containers yet."""
        before, self._connection = self._connection, self._file.sound()
        if self._connection is not before:
            self._known.clear()
        return self._connection

    def _cursors(self) -> dict[str, LogCursor]:
        rows = self._sound().execute("SELECT container_id, marks FROM cursors").fetchall()
        return {container_id: _cursor(json.loads(marks)) for container_id, marks in rows}

    def _container_ids(self) -> frozenset[str]:
        return frozenset(row[0] for row in self._sound().execute("SELECT container_id FROM containers"))

    def _sample_rows(self, rounds: Sequence[RoundSamples]) -> Iterator[tuple[object, ...]]:
        for round_samples in rounds:
            for sample in round_samples.samples:
                who = (sample.name, sample.project, sample.service, sample.index)
                at_ms = round_samples.at_ms
                yield (at_ms, self._ref(sample.container_id, who, at_ms), *map(_fitting, _FIGURES(sample)))

    def _line_rows(self, batches: Sequence[Sequence[StoredLine]]) -> Iterator[tuple[object, ...]]:
        for batch in batches:
            for line in batch:
                self._sequence += 1
                yield (line.ns, self._sequence, self._ref_of_line(line), line.stream, line.text)

    def _ref_of_line(self, line: StoredLine) -> int:
        at_ms = line.ns // MILLISECOND_NS
        known = self._known.get(line.container_id)
        if known and at_ms - known.seen_ms < _SEEN_AGAIN_MS:
            return known.ref  # a sample has more data on a container than a line has
        return self._ref(line.container_id, (line.name, line.project, line.service, None), at_ms)

    def _ref(self, container_id: str, who: _Who, at_ms: int) -> int:
        known = self._known.get(container_id)
        if known and known.who == who and at_ms - known.seen_ms < _SEEN_AGAIN_MS:
            return known.ref
        ref = int(self._connection.execute(_UPSERT_CONTAINER, (container_id, *who, at_ms)).fetchone()[0])
        self._known[container_id] = _KnownContainer(ref, who, at_ms)
        return ref


def _fitting(value: float | None) -> float | None:
    return None if value is None else min(value, _LARGEST)


def _row(record: RunPoint | HealthMinute) -> tuple[object, ...]:
    """Return the row of a record: its fields are the columns of the table."""
    return (millis(record.at), *astuple(record)[1:])


def _cursor_rows(cursors: Mapping[str, LogCursor]) -> Iterator[tuple[object, ...]]:
    for container_id, cursor in cursors.items():
        marks = {stream: (mark.ns, mark.lines) for stream, mark in cursor.marks.items()}
        newest = max((mark.ns for mark in cursor.marks.values()), default=0)
        yield (container_id, newest, json.dumps(marks))


def _cursor(marks: dict[str, Any]) -> LogCursor:
    return LogCursor({stream: LogPosition(ns, lines) for stream, (ns, lines) in marks.items()})


def roll_up(connection: sqlite3.Connection, now: datetime) -> None:
    """Replace samples older than two hours by averages of 30 seconds, in whole slots."""
    edge = {"edge": millis(now - RAW) // SLOT_MS * SLOT_MS}
    with transaction(connection):
        connection.execute(_ROLL_UP, edge)
        connection.execute(_ROLL_UP_RUN, edge)
        connection.execute("DELETE FROM samples WHERE at_ms < :edge", edge)
        connection.execute("DELETE FROM run_points WHERE at_ms < :edge", edge)


def prune_age(connection: sqlite3.Connection, oldest: datetime) -> None:
    """Delete rows from before that moment, and containers last seen before it."""
    _delete_before(connection, millis(oldest))
    with transaction(connection):
        connection.execute("DELETE FROM containers WHERE seen_ms < ?", (millis(oldest - timedelta(hours=1)),))
        connection.execute(_OLD_CURSORS, {"most": _MOST_CURSORS})


def prune_size(connection: sqlite3.Connection, most_bytes: int) -> None:
    """Delete the oldest samples and lines while the file is larger than that; then return free pages to the disk."""
    for _ in range(_MOST_STEPS):
        if used_bytes(connection) <= most_bytes:
            break
        edge = _edge_of_oldest(connection)
        if edge is None:
            break
        _delete_before(connection, edge)
    give_back(connection)


def _edge_of_oldest(connection: sqlite3.Connection) -> int | None:
    """Return a moment (ms) with a fair part of one table before it, and no more of any; None if all are empty."""
    for rows in _STEPS_OF_ROWS:
        edges = [int(row[0]) for sql in _NTH_OLDEST for row in connection.execute(sql, {"n": rows - 1})]
        if edges:
            return min(edges) + 1
    return None


def _delete_before(connection: sqlite3.Connection, ms: int) -> None:
    with transaction(connection):
        for table, sql in _BEFORE.items():
            connection.execute(sql, {"ns": ms * MILLISECOND_NS} if table == "lines" else {"ms": ms})
