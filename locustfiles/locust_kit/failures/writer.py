"""Brings rows and documents to the disk in a thread of its own, so that the master's event loop never waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from locust_kit.off_loop import off_loop

from . import files
from .records import Record

_LARGEST_BATCH = 5000
_EACH_SECONDS = 0.02


class Writer:
    """Writes into one run's folder, one batch after the other, in the order they were given.

    `trouble` hears of each write that failed.
    """

    def __init__(self, folder: Path, trouble: Callable[[OSError], None]) -> None:
        self._folder = folder
        self._rows: list[Record] = []
        self._documents: dict[str, dict[str, Any]] = {}
        self._busy = False
        self._trouble = trouble

    def wait(self, seconds: float) -> None:
        """Wait until all is on the disk, at most so long."""
        with gevent.Timeout(seconds, exception=False):
            while self._busy:
                gevent.sleep(_EACH_SECONDS)

    def rows(self, records: list[Record]) -> None:
        """Have rows appended."""
        self._rows += records
        self._go()

    def document(self, name: str, document: dict[str, Any]) -> None:
        """Have a file replaced."""
        self._documents[name] = document
        self._go()

    def _go(self) -> None:
        if not self._busy and (self._rows or self._documents):
            self._busy = True
            gevent.spawn(self._drain)

    def _drain(self) -> None:
        try:
            while self._rows or self._documents:
                batch, self._rows = self._rows[:_LARGEST_BATCH], self._rows[_LARGEST_BATCH:]
                if batch:
                    self._try(files.append, batch)
                documents, self._documents = self._documents, {}
                if documents:
                    self._try(files.write_documents, documents)
        finally:
            self._busy = False

    def _try(self, write: Callable[[Path, Any], None], what: Any) -> None:
        try:
            off_loop(write, self._folder, what)
        except OSError as error:
            self._trouble(error)
