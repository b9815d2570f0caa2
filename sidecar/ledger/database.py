"""SQLite files: one writer each (settings, migration, an unusable file moved aside), and connections for readers."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sidecar.common.errors import LedgerError
from sidecar.ledger.schema import Schema

BUSY_SECONDS = 5.0  # two monitors may overlap for a moment when one replaces the other
_CACHE_KIB = 1024
_WAL_BYTES = 8 * 1024 * 1024  # a WAL that a burst has enlarged is cut back to this
_FREED_PAGES = 2000  # given back to the disk in each call: 8 MB
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY = 0xFF  # an extended result code's lowest byte is the plain one
_MOST_IDLE = 4
_READER_CACHE_KIB = 512  # each; a thread pool has several


class UnusableFileError(Exception):
    """This file can never be used as it is; `word` becomes part of its new name."""

    def __init__(self, word: str, why: str) -> None:
        super().__init__(why)
        self.word = word


class Database:
    """One file, open for its writer at the newest schema. Any thread may use it, one at a time.

    A file that cannot be used, when it is opened or later, is moved aside and never deleted. A file that somebody
    removes is created again. `notes` then has one sentence about it.

    Args:
        folder: where the file is; created if necessary.
        schema: which file.
        clock: the time for the name of a file that is moved aside.

    Raises:
        LedgerError: it cannot be opened now: no permission, no space, or locked by another process.

    """

    def __init__(self, folder: Path, schema: Schema, clock: Callable[[], datetime]) -> None:
        self._path = folder / schema.file_name
        self._schema = schema
        self._clock = clock
        self._damage = ""
        self.notes: tuple[str, ...] = ()
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def sound(self) -> sqlite3.Connection:
        """Return the connection; to a new file if the last one was found damaged or was removed.

        Raises:
            LedgerError: a new file cannot be opened now.

        """
        if self._damage:
            self.close()
            self._open()
        elif self._is_removed():
            self.close()
            self._open()
            self.notes = (*self.notes, f"{self._path.name} was removed while it was in use; a new file was created")
        return self._connection

    def notice_damage(self, error: sqlite3.Error) -> bool:
        """Return whether an error means that the file is damaged; the next call of `sound` then moves it aside."""
        corrupt = is_corrupt(error)
        if corrupt:
            self._damage = str(error)
        return corrupt

    def _is_removed(self) -> bool:
        """Return whether the open file is no longer the one in the folder; then all writing would be lost."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True
        except OSError:
            return False  # unknown; the next write will show it

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened()
            self._inode = self._path.stat().st_ino
        except OSError as error:
            raise _refused(self._path, error) from error
        self._damage = ""

    def _opened(self) -> sqlite3.Connection:
        try:
            return _connected(self._path, self._schema, self._damage)
        except UnusableFileError as error:
            kept = _move_aside(self._path, error.word, self._clock())
            note = f"{self._path.name} {error}; it is kept as {kept.name}, and a new file was created"
            try:
                connection = _connected(self._path, self._schema)
            except UnusableFileError as again:
                raise _refused(self._path, again) from again
            self.notes = (*self.notes, note)
            return connection


def is_corrupt(error: sqlite3.Error) -> bool:
    """Return whether the error means that the file itself is damaged, so that another try is useless."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _CORRUPT


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all changes of the body, or none if it raises. Its exception is raised again."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself has rolled back after some errors
            connection.execute("ROLLBACK")
        raise


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how many bytes of the file are in use; SQLite fills free pages in it again."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def give_back(connection: sqlite3.Connection) -> None:
    """Return free pages of the file to the disk, a bounded number in each call."""
    # A script, because `execute` takes only one step of a statement without columns, and a step here is one page.
    connection.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")


def file_bytes(folder: Path, schema: Schema) -> int:
    """Return the size of the file and its WAL on the disk; 0 if the file does not exist."""
    return sum(_size(folder / (schema.file_name + end)) for end in ("", "-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _connected(path: Path, schema: Schema, damage: str = "") -> sqlite3.Connection:
    if damage and path.exists():
        raise UnusableFileError("corrupt", f"is damaged ({damage})")
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    try:
        _set_up(connection, schema)
    except sqlite3.Error as error:
        connection.close()
        if is_corrupt(error):
            raise UnusableFileError("corrupt", f"could not be read ({error})") from error
        raise _refused(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, schema: Schema) -> None:
    version, tables = (
        int(connection.execute(sql).fetchone()[0])
        for sql in ("PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    )
    # All checks come before the first write, so that a file that is moved aside stays as it was.
    newest = len(schema.steps)
    if version > newest:
        raise UnusableFileError("newer", f"was written by a newer monitor (schema {version}, this one reads {newest})")
    if version == 0 and tables:
        raise UnusableFileError("foreign", "is a database of another program")
    if schema.checked and tables:
        _check(connection)
    if not tables:
        # Only possible before the first table: it lets the file shrink later, page by page.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={schema.synchronous}")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    if version < newest:
        _migrate(connection, schema, version)


def _check(connection: sqlite3.Connection) -> None:
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise UnusableFileError("corrupt", f"is damaged ({' '.join(str(finding).split()):.120})")


def _migrate(connection: sqlite3.Connection, schema: Schema, version: int) -> None:
    """Apply the missing steps to the file, all or none."""
    with transaction(connection):
        for step in schema.steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(schema.steps)}")


def _move_aside(path: Path, word: str, now: datetime) -> Path:
    """Rename the file and its WAL together, so that their data can still be rescued."""
    stamp = f"{path.name}.{word}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    kept, more = path.with_name(stamp), 1
    while kept.exists():
        more += 1
        kept = path.with_name(f"{stamp}-{more}")
    try:
        path.rename(kept)
        for end in ("-wal", "-shm"):
            beside = path.with_name(path.name + end)
            if beside.exists():
                beside.rename(kept.with_name(kept.name + end))
    except OSError as error:
        raise _refused(path, error) from error
    return kept


def _refused(path: Path, error: Exception) -> LedgerError:
    return LedgerError(
        f"the ledger cannot be opened: {error}",
        wanted=f"a folder that user {os.getuid()} can write to, with free space",
        where=str(path),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: sqlite3.Connection
    inode: int
    lasting: bool  # it will see later writes


class Readers:
    """Gives each thread a connection for one query at a time and keeps a few. Notices when the file was replaced.

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

    A file in WAL mode that was closed cleanly has no WAL and no shared memory. A reader must create them, so it opens
    the file for writing. If the folder is not writable, an existing shared memory is enough. Without one, nobody writes
    now, and the file is read once as it is.
    """
    for way in ("mode=rw", "mode=ro"):
        with suppress(sqlite3.OperationalError):
            return _Reader(_open_reader(f"{path.absolute().as_uri()}?{way}"), inode, lasting=True)
    return _Reader(_open_reader(f"{path.absolute().as_uri()}?immutable=1"), inode, lasting=False)


def _open_reader(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # opening alone reads nothing
    except BaseException:
        connection.close()
        raise
    return connection
