"""Ledger and history in one folder, or in a spare folder if that one cannot be used, so that monitoring goes on."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sidecar.common.errors import LedgerError
from sidecar.ledger.database import BUSY_SECONDS
from sidecar.ledger.history import History
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.schema import Retention

_LOCK = "lock"
_PROBE = "probe"
_SPARE_MEGABYTES = 8  # a spare folder is usually in memory (/tmp)
_PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = BUSY_SECONDS  # two monitors may overlap for a moment when one replaces the other


@dataclass(frozen=True, slots=True)
class Store:
    """Both files of the ledger, open in `folder`. `trouble` is why they are not in the configured folder, or ""."""

    folder: Path
    ledger: Ledger
    history: History
    lock: int
    trouble: str = ""

    def close(self) -> None:
        """Close both files, and unlock the folder."""
        self.history.close()
        self.ledger.close()
        os.close(self.lock)


def open_store(
    folder: Path, clock: Callable[[], datetime], retention: Retention, spare: Callable[[], Path], *, patience: float = 0
) -> Store:
    """Open the ledger in its folder. If that fails, open one in a spare folder and set `trouble`.

    Args:
        folder: the ledger's folder.
        clock: the time of day.
        retention: how long and how much is kept.
        spare: creates an empty private folder.
        patience: how many seconds to wait for another monitor to unlock the folder.

    Raises:
        LedgerError: the spare folder cannot be used either.

    """
    try:
        return _open(folder, clock, retention, patience=patience)
    except LedgerError as error:
        trouble = (
            f"the ledger cannot be kept in {folder}: {error.what}. Data recorded now is lost when the monitor ends."
            " Once the folder is writable, the monitor restarts and uses it"
        )
    try:
        small = Retention(retention.days, min(retention.megabytes, _SPARE_MEGABYTES))
        return _open(spare(), clock, small, trouble=trouble)
    except OSError as error:
        raise LedgerError(f"{trouble}; there is no spare folder either: {error}") from error


def can_be_kept(folder: Path, clock: Callable[[], datetime], retention: Retention) -> bool:
    """Return whether a ledger can be opened and written in this folder now, after an earlier failure."""
    try:
        store = _open(folder, clock, retention)
    except LedgerError:
        return False
    try:
        with store.ledger.commit() as batch:
            batch.keep(_PROBE, "")
            batch.drop(_PROBE)
    except LedgerError:
        return False
    finally:
        store.close()
    return True


def _open(
    folder: Path, clock: Callable[[], datetime], retention: Retention, *, trouble: str = "", patience: float = 0
) -> Store:
    lock = _locked(folder, patience)
    try:
        ledger = Ledger(folder, clock, retention)
        try:
            return Store(folder, ledger, History(folder, clock, retention), lock, trouble)
        except BaseException:
            ledger.close()
            raise
    except (sqlite3.Error, ValueError) as error:  # a file that can be opened but not read
        os.close(lock)
        raise LedgerError(f"it cannot be read: {error}", where=str(folder)) from error
    except BaseException:
        os.close(lock)
        raise


def _locked(folder: Path, patience: float) -> int:
    """Lock the folder for this process. Two monitors that write one ledger would undo each other's counts."""
    until = time.monotonic() + patience
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"it cannot be opened: {error.strerror}", where=str(folder)) from error
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(lock)
                raise LedgerError("another monitor writes to it", where=str(folder)) from None
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return lock  # the file system has no locks
        else:
            return lock
