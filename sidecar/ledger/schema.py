"""The tables of both files, as steps from one schema version to the next, and how much of them is kept.

A step is never changed once it was released: a new one is added, and files of an older version are taken through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SLOT_MS = 30_000  # how long a slot of averages is

Step = Sequence[str]
_MEGABYTE = 1024 * 1024
_HISTORY_FLOOR = 8  # history gives way to the ledger down to an eighth of the whole, then the ledger is cut


@dataclass(frozen=True, slots=True)
class Schema:
    """One file's name, its steps (its version is their number), and how surely and closely it is handled.

    `synchronous` is SQLite's: FULL has each commit on the disk when it returns, NORMAL may lose the last ones with the
    machine's power. `checked` has the whole file looked through when it is opened; too slow for a large one.
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
            # One row an engine event. The key says when two are the same one: the engine replays what it has sent.
            """CREATE TABLE events (
                container_id TEXT NOT NULL, ns INTEGER NOT NULL, action TEXT NOT NULL,
                name TEXT NOT NULL, project TEXT, service TEXT, number INTEGER, helper INTEGER NOT NULL,
                exit_code INTEGER, signal INTEGER, health TEXT, received_ns INTEGER NOT NULL, raw TEXT NOT NULL,
                UNIQUE (container_id, ns, action))""",
            "CREATE INDEX events_by_time ON events (ns)",
            # The document stands last: what only looks at the columns never reads its pages.
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
            # Who a row is of, said once: `ref` is what the large tables hold.
            """CREATE TABLE containers (
                ref INTEGER PRIMARY KEY, container_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, project TEXT,
                service TEXT, number INTEGER, seen_ms INTEGER NOT NULL)""",
            # By time first: a round of sixty rows lands on one or two pages, not on sixty.
            """CREATE TABLE samples (
                at_ms INTEGER NOT NULL, ref INTEGER NOT NULL, cpu REAL, throttled REAL,
                working_set INTEGER NOT NULL, usage INTEGER NOT NULL, memory_limit INTEGER,
                network_rx INTEGER, network_tx INTEGER, block_read INTEGER, block_write INTEGER,
                pids INTEGER, restarts INTEGER, oom_kills INTEGER,
                PRIMARY KEY (at_ms, ref)) WITHOUT ROWID""",
            # Samples of 30 seconds in one row, for the long term. `cpu_rows` is how many of `rows` had a cpu figure.
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
            # A minute of asking one URL.
            """CREATE TABLE health (
                at_ms INTEGER NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, checks INTEGER NOT NULL,
                passed INTEGER NOT NULL, total_ms REAL NOT NULL, most_ms REAL NOT NULL, error TEXT NOT NULL,
                PRIMARY KEY (at_ms, name, url)) WITHOUT ROWID""",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Retention:
    """Keep for `days`, and both files together within `megabytes`: history goes first, then journal, then incidents."""

    days: int = 30
    megabytes: int = 512

    def oldest(self, now: datetime) -> datetime:
        """Return the moment before which nothing is kept."""
        return now - timedelta(days=self.days)

    @property
    def whole_bytes(self) -> int:
        """Return how much both files together may hold."""
        return self.megabytes * _MEGABYTE

    def history_bytes(self, ledger_bytes: int) -> int:
        """Return how much history may hold beside a ledger of this size."""
        return max(self.whole_bytes // _HISTORY_FLOOR, self.whole_bytes - ledger_bytes)

    @property
    def ledger_bytes(self) -> int:
        """Return how much the ledger may hold when history has given way."""
        return self.whole_bytes - self.whole_bytes // _HISTORY_FLOOR
