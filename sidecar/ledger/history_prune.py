"""Retention of history.db: samples of two hours and more become averages, the oldest goes, and what is too much."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from sidecar.ledger.database import transaction, used_bytes
from sidecar.ledger.moments import millis
from sidecar.ledger.prune import give_back

SLOT_MS = 30_000
RAW = timedelta(hours=2)
_MOST_STEPS = 200  # a call; the writer has other things to do
_STEPS_OF_ROWS = (500, 50, 5, 1)  # small enough not to cut far below the bound, even where the lines are long
_MOST_CURSORS = 10_000  # kept whatever their age: a quiet container's log must not be read anew
_MS_NS = 1_000_000

# A sample that comes late (the clock was set back) finds its slot filled: the two are put together by their rows.
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


def roll_up(connection: sqlite3.Connection, now: datetime) -> None:
    """Turn samples older than two hours into averages of 30 seconds, whole slots only."""
    edge = {"edge": millis(now - RAW) // SLOT_MS * SLOT_MS}
    with transaction(connection):
        connection.execute(_ROLL_UP, edge)
        connection.execute(_ROLL_UP_RUN, edge)
        connection.execute("DELETE FROM samples WHERE at_ms < :edge", edge)
        connection.execute("DELETE FROM run_points WHERE at_ms < :edge", edge)


def prune_age(connection: sqlite3.Connection, oldest: datetime) -> None:
    """Delete what is from before that moment, and the containers that were last seen before it."""
    _delete_before(connection, millis(oldest))
    with transaction(connection):
        connection.execute("DELETE FROM containers WHERE seen_ms < ?", (millis(oldest - timedelta(hours=1)),))
        connection.execute(_OLD_CURSORS, {"most": _MOST_CURSORS})


def prune_size(connection: sqlite3.Connection, most_bytes: int) -> None:
    """While the file holds more than that, delete the oldest samples and lines; then give free pages back."""
    for _ in range(_MOST_STEPS):
        if used_bytes(connection) <= most_bytes:
            break
        edge = _edge_of_oldest(connection)
        if edge is None:
            break
        _delete_before(connection, edge)
    give_back(connection)


def _edge_of_oldest(connection: sqlite3.Connection) -> int | None:
    """Return a moment (ms) with a good piece of some table before it, and no more of any; None when all is empty."""
    for rows in _STEPS_OF_ROWS:
        found = [int(row[0]) for sql in _NTH_OLDEST for row in connection.execute(sql, {"n": rows - 1})]
        if found:
            return min(found) + 1
    return None


def _delete_before(connection: sqlite3.Connection, ms: int) -> None:
    with transaction(connection):
        for table, sql in _BEFORE.items():
            connection.execute(sql, {"ns": ms * _MS_NS} if table == "lines" else {"ms": ms})
