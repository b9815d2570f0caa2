"""The ledger: observations and incidents, on the disk before anybody sees them. For the recorder's thread alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sidecar.common.errors import LedgerError
from sidecar.common.times import micros
from sidecar.ledger.database import Database, give_back, transaction, used_bytes
from sidecar.ledger.ledger_reader import EVENT_COLUMNS, event_row, incident_row, incidents_of
from sidecar.ledger.schema import LEDGER, Retention
from sidecar.model.incident import PROVISIONAL, Incident
from sidecar.model.signal import DockerEvent

_MOST_STEPS = 20  # in one call; the writer has other work

# The newest event always stays: the engine replays events from it on, and an engine's buffer holds only 256.
_OLD_EVENTS = """DELETE FROM events WHERE rowid IN (
    SELECT rowid FROM events
    WHERE ns < :before AND ns < (SELECT MIN(ns) FROM (SELECT ns FROM events ORDER BY ns DESC LIMIT :spared))
    ORDER BY ns LIMIT 2000)"""
_OLD_INCIDENTS = """DELETE FROM incidents WHERE id IN (
    SELECT id FROM incidents WHERE at_us < :before AND COALESCE(until_us, at_us) < :before ORDER BY at_us LIMIT 200)"""
_SPARED_EVENTS = 1000
_EVER = 2**62
_INSERT_EVENT = f"INSERT OR IGNORE INTO events ({EVENT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 constants
_UPSERT_INCIDENT = "INSERT OR REPLACE INTO incidents VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_ONE_INCIDENT = "SELECT document FROM incidents WHERE id = ?"
_OPEN_INCIDENTS = """SELECT document FROM incidents
    WHERE state = ? OR until_us IS NULL OR at_us >= ? ORDER BY at_us, id"""
_BEYOND = "\U0010ffff"  # sorts after all characters of a key


def prune_ledger(connection: sqlite3.Connection, before_us: int, most_bytes: int) -> None:
    """Delete events and incidents from before that moment. Then, while the file is too large, delete the oldest."""
    _repeat(connection, _OLD_EVENTS, {"before": before_us * 1000, "spared": 1})
    _repeat(connection, _OLD_INCIDENTS, {"before": before_us})
    for _ in range(_MOST_STEPS):
        if used_bytes(connection) <= most_bytes:
            break
        if not _delete(connection, _OLD_EVENTS, {"before": _EVER, "spared": _SPARED_EVENTS}):
            _delete(connection, _OLD_INCIDENTS, {"before": _EVER})
    give_back(connection)


def _repeat(connection: sqlite3.Connection, sql: str, parameters: dict[str, int]) -> None:
    for _ in range(_MOST_STEPS):
        if not _delete(connection, sql, parameters):
            return


def _delete(connection: sqlite3.Connection, sql: str, parameters: dict[str, int]) -> int:
    with transaction(connection):
        return connection.execute(sql, parameters).rowcount


class Batch:
    """The changes of one commit. `Ledger.commit` makes it, and it is invalid afterwards."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def journal(self, event: DockerEvent) -> bool:
        """Keep an event as it came; return False if it is known already (same moment, action and container)."""
        return self._connection.execute(_INSERT_EVENT, event_row(event)).rowcount == 1

    def upsert(self, incident: Incident) -> None:
        """Keep this incident; it replaces an earlier one of the same id."""
        self._connection.execute(_UPSERT_INCIDENT, incident_row(incident))

    def keep(self, key: str, value: Any) -> None:  # noqa: ANN401 whatever JSON can hold
        """Keep a small state of the rules under this key."""
        written = json.dumps(value, separators=(",", ":"))
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, written))

    def drop(self, key: str) -> None:
        """Delete the state under this key, if there is one."""
        self._connection.execute("DELETE FROM state WHERE key = ?", (key,))


class Ledger:
    """The journal of events, the incidents and the state of the rules. One writer, one thread at a time.

    A file is moved aside, never deleted, if it is damaged (when it is opened or later) or if a newer monitor has
    written it. A file that somebody removes is created again. `notes` then has one sentence about it.

    Raises:
        LedgerError: the folder is not writable, or the file is locked.

    """

    def __init__(self, folder: Path, clock: Callable[[], datetime], retention: Retention | None = None) -> None:
        self._folder = folder
        self._retention = retention or Retention()
        self._file = Database(folder, LEDGER, clock)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one sentence for each file that was moved aside or removed."""
        return self._file.notes

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def commit(self) -> Iterator[Batch]:
        """Write all of a batch, or nothing. It is on the disk when the block ends.

        Raises:
            LedgerError: the write failed: no space, locked, or damaged. A later try makes sense in each case; an empty
                file then replaces a damaged one.

        """
        try:
            connection = self._file.sound()
            with transaction(connection):
                yield Batch(connection)
        except sqlite3.Error as error:
            raise self._failed("written", error) from error

    def state(self, prefix: str = "") -> dict[str, Any]:
        """Return the kept states whose keys begin with the prefix, by key.

        Raises:
            LedgerError: it could not be read.

        """
        rows = self._rows("SELECT key, value FROM state WHERE key >= ? AND key < ?", (prefix, prefix + _BEYOND))
        return {key: json.loads(value) for key, value in rows}

    def last_event_ns(self) -> int | None:
        """Return the time stamp of the newest event in the journal; None if it is empty.

        Raises:
            LedgerError: it could not be read.

        """
        newest = self._rows("SELECT MAX(ns) FROM events", ())[0][0]
        return None if newest is None else int(newest)

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident; None if no incident has this id.

        Raises:
            LedgerError: it could not be read.

        """
        return next(iter(incidents_of(self._rows(_ONE_INCIDENT, (incident_id,)))), None)

    def open_incidents(self, since_ns: int) -> list[Incident]:
        """Return the incidents that may still change, oldest first: provisional, ongoing, or begun since then.

        Raises:
            LedgerError: they could not be read.

        """
        return incidents_of(self._rows(_OPEN_INCIDENTS, (PROVISIONAL, since_ns // 1000)))

    def prune(self, now: datetime) -> None:
        """Delete what is too old. If there is too much, delete the oldest events, then the oldest incidents.

        Each call does a bounded amount of work; the next call continues. History shrinks first, by itself.

        Raises:
            LedgerError: it could not be written.

        """
        try:
            prune_ledger(self._file.sound(), micros(self._retention.oldest(now)), self._retention.ledger_bytes)
        except sqlite3.Error as error:
            raise self._failed("pruned", error) from error

    def _rows(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._file.sound().execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._failed("read", error) from error

    def _failed(self, what: str, error: sqlite3.Error) -> LedgerError:
        """Return the error to raise; the next call moves a damaged file aside."""
        self._file.notice_damage(error)
        where = str(self._folder / LEDGER.file_name)
        return LedgerError(f"the ledger could not be {what}: {error}", where=where)
