"""Retention in ledger.db: what is too old, and of what is too much the oldest. Small transactions, one by one."""

from __future__ import annotations

import sqlite3

from sidecar.ledger.database import transaction, used_bytes

_MOST_STEPS = 20  # a call; the writer has other things to do
_FREED_PAGES = 2000  # given back to the disk a call: 8 MB

# The newest event stays whatever its age: from it on the engine is asked to replay, and an engine's buffer holds 256.
_OLD_EVENTS = """DELETE FROM events WHERE rowid IN (
    SELECT rowid FROM events
    WHERE ns < :before AND ns < (SELECT MIN(ns) FROM (SELECT ns FROM events ORDER BY ns DESC LIMIT :spared))
    ORDER BY ns LIMIT 2000)"""
_OLD_INCIDENTS = """DELETE FROM incidents WHERE id IN (
    SELECT id FROM incidents WHERE at_us < :before AND COALESCE(until_us, at_us) < :before ORDER BY at_us LIMIT 200)"""
_SPARED_EVENTS = 1000
_EVER = 2**62


def prune_ledger(connection: sqlite3.Connection, before_us: int, most_bytes: int) -> None:
    """Delete events and incidents from before that moment; then, while the file holds too much, the oldest of all."""
    _repeat(connection, _OLD_EVENTS, {"before": before_us * 1000, "spared": 1})
    _repeat(connection, _OLD_INCIDENTS, {"before": before_us})
    for _ in range(_MOST_STEPS):
        if used_bytes(connection) <= most_bytes:
            break
        if not _delete(connection, _OLD_EVENTS, {"before": _EVER, "spared": _SPARED_EVENTS}):
            _delete(connection, _OLD_INCIDENTS, {"before": _EVER})
    give_back(connection)


def give_back(connection: sqlite3.Connection) -> None:
    """Shrink the file by its free pages, a bounded number a call."""
    # A script, for `execute` takes one step of a statement without columns, and here a step is a page.
    connection.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")


def _repeat(connection: sqlite3.Connection, sql: str, parameters: dict[str, int]) -> None:
    for _ in range(_MOST_STEPS):
        if not _delete(connection, sql, parameters):
            return


def _delete(connection: sqlite3.Connection, sql: str, parameters: dict[str, int]) -> int:
    with transaction(connection):
        return connection.execute(sql, parameters).rowcount
