"""The tables of both files, as steps from one schema version to the next, and the retention.

A released step never changes. A new step is added, and older files go through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SLOT_MS = 30_000  # the length of a slot of averages

Step = Sequence[str]
_MEGABYTE = 1024 * 1024
_HISTORY_FLOOR = 8  # history shrinks first, down to an eighth of the total; then the ledger is cut


@dataclass(frozen=True, slots=True)
class Schema:
    """One file: its name, its steps (their number is its version), its durability and its check.

    `synchronous` is SQLite's setting. With FULL each commit is on the disk when it returns; with NORMAL a loss of power
    may take the last commits. `checked` reads the whole file when it is opened, which is too slow for a large file.
    """

    file_name: str
    steps: Sequence[Step]
    synchronous: str
    checked: bool


LEDGER = Schema(
    file_name="ledger.db",
    synchronous="FULL",
    checked=True,
    steps=(
        (
            # One row for each engine event. The key identifies an event, because the engine replays events it has sent.
            """CREATE TABLE events (
                container_id TEXT NOT NULL, ns INTEGER NOT NULL, action TEXT NOT NULL,
                name TEXT NOT NULL, project TEXT, service TEXT, number INTEGER, helper INTEGER NOT NULL,
                exit_code INTEGER, signal INTEGER, health TEXT, received_ns INTEGER NOT NULL, raw TEXT NOT NULL,
                UNIQUE (container_id, ns, action))""",
            "CREATE INDEX events_by_time ON events (ns)",
            # The document is the last column: a query of the other columns never reads its pages.
            """CREATE TABLE incidents (
                id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, until_us INTEGER, state TEXT NOT NULL, kind TEXT NOT NULL,
                project TEXT, service TEXT, container_id TEXT, count INTEGER NOT NULL, helper INTEGER NOT NULL,
                document TEXT NOT NULL)""",
            "CREATE INDEX incidents_by_time ON incidents (at_us)",
            "CREATE INDEX incidents_by_kind ON incidents (kind, container_id, count)",
            "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        ),
    ),
)

HISTORY = Schema(
    file_name="history.db",
    synchronous="NORMAL",
    checked=False,
    steps=(
        (
            # The container of a row, stored once: the large tables hold only `ref`.
            """CREATE TABLE containers (
                ref INTEGER PRIMARY KEY, container_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, project TEXT,
                service TEXT, number INTEGER, seen_ms INTEGER NOT NULL)""",
            # By time first: a round of sixty rows is written to one or two pages, not to sixty.
            """CREATE TABLE samples (
                at_ms INTEGER NOT NULL, ref INTEGER NOT NULL, cpu REAL, throttled REAL,
                working_set INTEGER NOT NULL, usage INTEGER NOT NULL, memory_limit INTEGER,
                network_rx INTEGER, network_tx INTEGER, block_read INTEGER, block_write INTEGER,
                pids INTEGER, restarts INTEGER, oom_kills INTEGER,
                PRIMARY KEY (at_ms, ref)) WITHOUT ROWID""",
            # Samples of 30 seconds in one row, for the long term. `cpu_rows` is how many of `rows` had a CPU figure.
            """CREATE TABLE averages (
                at_ms INTEGER NOT NULL, ref INTEGER NOT NULL, rows INTEGER NOT NULL, cpu_rows INTEGER NOT NULL,
                cpu REAL, cpu_max REAL, throttled_max REAL,
                working_set REAL NOT NULL, working_set_max INTEGER NOT NULL, usage_max INTEGER NOT NULL,
                memory_limit INTEGER, network_rx INTEGER, network_tx INTEGER, block_read INTEGER, block_write INTEGER,
                pids INTEGER, restarts INTEGER, oom_kills INTEGER,
                PRIMARY KEY (at_ms, ref)) WITHOUT ROWID""",
            """CREATE TABLE run_points (
                at_ms INTEGER PRIMARY KEY, state TEXT NOT NULL, users INTEGER NOT NULL, rps REAL NOT NULL,
                fail_per_second REAL NOT NULL, p50_ms REAL, p95_ms REAL, workers INTEGER NOT NULL)""",
            """CREATE TABLE run_averages (
                at_ms INTEGER PRIMARY KEY, rows INTEGER NOT NULL, state TEXT NOT NULL,
                users INTEGER NOT NULL, rps REAL NOT NULL, fail_per_second REAL NOT NULL,
                p50_ms REAL, p95_ms REAL, workers INTEGER NOT NULL)""",
            """CREATE TABLE lines (
                at_ns INTEGER NOT NULL, seq INTEGER NOT NULL, ref INTEGER NOT NULL, stream INTEGER NOT NULL,
                text TEXT NOT NULL, PRIMARY KEY (at_ns, seq)) WITHOUT ROWID""",
            "CREATE INDEX lines_by_container ON lines (ref, at_ns, seq)",
            "CREATE TABLE cursors (container_id TEXT PRIMARY KEY, ns INTEGER NOT NULL, marks TEXT NOT NULL)",
        ),
        (
            # One minute of checks of one URL.
            """CREATE TABLE health (
                at_ms INTEGER NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, checks INTEGER NOT NULL,
                passed INTEGER NOT NULL, total_ms REAL NOT NULL, most_ms REAL NOT NULL, error TEXT NOT NULL,
                PRIMARY KEY (at_ms, name, url)) WITHOUT ROWID""",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Retention:
    """Keep `days` and at most `megabytes` in both files. History goes first, then the journal, then the incidents."""

    days: int = 30
    megabytes: int = 512

    def oldest(self, now: datetime) -> datetime:
        """Return the moment before which nothing is kept."""
        return now - timedelta(days=self.days)

    @property
    def whole_bytes(self) -> int:
        """Return how many bytes both files together may have."""
        return self.megabytes * _MEGABYTE

    def history_bytes(self, ledger_bytes: int) -> int:
        """Return how many bytes history may have beside a ledger of this size."""
        return max(self.whole_bytes // _HISTORY_FLOOR, self.whole_bytes - ledger_bytes)

    @property
    def ledger_bytes(self) -> int:
        """Return how many bytes the ledger may have when history is at its smallest."""
        return self.whole_bytes - self.whole_bytes // _HISTORY_FLOOR
