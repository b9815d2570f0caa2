"""Connections for reading one SQLite file, from any thread, beside its writer and without one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.common.errors import LedgerError
from sidecar.ledger.database import BUSY_SECONDS

_MOST_IDLE = 4
_CACHE_KIB = 512  # each; a thread pool has several


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: sqlite3.Connection
    inode: int
    lasting: bool  # it will see what is written from now on


class Readers:
    """Lends a connection to one thread at a time; keeps a few for the next. Notices that the file was replaced.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[_Reader] = []
        self._lock = threading.Lock()

    def rows(self, sql: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run one query and return all of its rows.

        Raises:
            LedgerError: the file is not there, or could not be read.

        """
        try:
            with self._lent() as connection:
                return connection.execute(sql, dict(parameters)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger could not be read: {error}", where=str(self._path)) from error

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.connection.close()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        inode = self._path.stat().st_ino
        with self._lock:
            reader = self._idle.pop() if self._idle else None
        if reader is not None and reader.inode != inode:
            reader.connection.close()
            reader = None
        reader = reader or _connect(self._path, inode)
        try:
            yield reader.connection
        except BaseException:
            reader.connection.close()
            raise
        with self._lock:
            kept = reader.lasting and len(self._idle) < _MOST_IDLE
            if kept:
                self._idle.append(reader)
        if not kept:
            reader.connection.close()


def _connect(path: Path, inode: int) -> _Reader:
    """Open for reading, in the first way that works here.

    A file in WAL mode that was closed cleanly has no WAL and no shared memory beside it, and a reader needs to make
    them anew: it opens for writing, then. Where the folder cannot be written, an existing shared memory will do; and
    where there is neither, nobody writes now, and the file is read as it stands, once.
    """
    for way in ("mode=rw", "mode=ro"):
        with suppress(sqlite3.OperationalError):
            return _Reader(_opened(f"{path.absolute().as_uri()}?{way}"), inode, lasting=True)
    return _Reader(_opened(f"{path.absolute().as_uri()}?immutable=1"), inode, lasting=False)


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # opening alone touches nothing
    except BaseException:
        connection.close()
        raise
    return connection
