"""Brings lines and documents to the disk in a thread of its own, so that the master's event loop never waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gevent

from .off_loop import off_loop

_LARGEST_BATCH = 5000
_EACH_SECONDS = 0.02

Append = Callable[[Path, Sequence[Any]], None]
"""Writes things at the end of a file in a folder; raises OSError when it cannot."""


class Writer:
    """Writes into one run's folder, one batch after the other; what is to be appended before documents.

    `trouble` hears of each write that failed.
    """

    def __init__(self, folder: Path, trouble: Callable[[OSError], None]) -> None:
        self.folder = folder
        self._things: dict[Append, list[Any]] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._busy = False
        self._trouble = trouble

    def wait(self, seconds: float) -> None:
        """Wait until all is on the disk, at most so long."""
        with gevent.Timeout(seconds, exception=False):
            while self._busy:
                gevent.sleep(_EACH_SECONDS)

    def append(self, append: Append, things: Sequence[Any]) -> None:
        """Have things appended in this way."""
        if things:
            self._things.setdefault(append, []).extend(things)
            self._go()

    def document(self, name: str, document: dict[str, Any]) -> None:
        """Have a file replaced; several are written in the order in which they were given."""
        self._documents.pop(name, None)
        self._documents[name] = document
        self._go()

    def _go(self) -> None:
        if not self._busy:
            self._busy = True
            gevent.spawn(self._drain)

    def _drain(self) -> None:
        try:
            while self._things or self._documents:
                for append in list(self._things):
                    waiting = self._things.pop(append)
                    if waiting[_LARGEST_BATCH:]:
                        self._things[append] = waiting[_LARGEST_BATCH:]
                    self._try(append, waiting[:_LARGEST_BATCH])
                if self._documents and not self._things:
                    documents, self._documents = self._documents, {}
                    self._try(write_documents, documents)
        finally:
            self._busy = False

    def _try(self, write: Callable[[Path, Any], None], what: Any) -> None:
        try:
            off_loop(write, self.folder, what)
        except OSError as error:
            self._trouble(error)


def write_documents(folder: Path, documents: dict[str, dict[str, Any]]) -> None:
    """Replace files of these names, each in one go. Raises OSError when the volume cannot be written."""
    for name, document in documents.items():
        partial = folder / f"{name}.partial"
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(folder / name)
