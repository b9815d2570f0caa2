"""Write a run's lines and documents in a thread, so that the master's event loop never waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gevent

from locust_kit import strict_json
from locust_kit.disk import make_folder, off_loop, replace_file

_LARGEST_BATCH = 5000
_POLL_SECONDS = 0.02
_RETRY_SECONDS = 2.0
_MOST_WAITING = 20_000  # items of one kind: seconds of five hours

Append = Callable[[Path, Sequence[Any]], None]
"""Appends items to a file in a folder; raises OSError on failure."""


class Writer:
    """Writes into one run's folder, one batch after the other; it appends items before it writes documents.

    After a failed write it tries again until it succeeds: items of the appends in `repeated` (each writes all or
    nothing), and the newest version of each document. Other items are left out.

    Attributes:
        folder: the folder; made if it does not exist.
        error: why a write is still waiting; "" if all of it is on the disk.

    """

    def __init__(
        self, folder: Path, on_error: Callable[[OSError], None], repeated: frozenset[Append] = frozenset()
    ) -> None:
        self.folder = folder
        self.error = ""
        self._items: dict[Append, list[Any]] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._busy = False
        self._on_error = on_error
        self._repeated = repeated
        self._retry: gevent.Greenlet | None = None

    def wait(self, seconds: float) -> None:
        """Wait, at most so many seconds, until all is on the disk or a write fails."""
        with gevent.Timeout(seconds, exception=False):
            while self._busy:
                gevent.sleep(_POLL_SECONDS)

    def append(self, append: Append, items: Sequence[Any]) -> None:
        """Queue items for a function that appends them."""
        if items:
            self._items.setdefault(append, []).extend(items)
            self._start()

    def document(self, name: str, document: dict[str, Any]) -> None:
        """Queue a document that replaces a file; documents are written in the order of the calls."""
        self._documents.pop(name, None)
        self._documents[name] = document
        self._start()

    def _start(self) -> None:
        if not self._busy:
            self._busy = True
            gevent.spawn(self._drain)

    def _drain(self) -> None:
        try:
            while (self._items or self._documents) and self._step():
                pass
        finally:
            self._busy = False
        if not (self._items or self._documents):
            self.error = ""
        elif self._retry is None or self._retry.ready():
            self._retry = gevent.spawn_later(_RETRY_SECONDS, self._start)

    def _step(self) -> bool:
        """Write a batch of each kind of items; documents if no item waits. Return False if a write failed."""
        for append in list(self._items):
            waiting = self._items.pop(append)
            if waiting[_LARGEST_BATCH:]:
                self._items[append] = waiting[_LARGEST_BATCH:]
            if not self._try(append, waiting[:_LARGEST_BATCH]) and append in self._repeated:
                self._items[append] = [*waiting[:_LARGEST_BATCH], *self._items.get(append, [])][-_MOST_WAITING:]
                return False
        if self._documents and not self._items:
            documents, self._documents = self._documents, {}
            if not self._try(write_documents, documents):
                self._documents = {**documents, **self._documents}
                return False
        return True

    def _try(self, write: Callable[[Path, Any], None], content: Any) -> bool:
        try:
            off_loop(_write, write, self.folder, content)
        except OSError as error:
            self.error = str(error.strerror or error)
            self._on_error(error)
            return False
        return True


def _write(write: Callable[[Path, Any], None], folder: Path, content: Any) -> None:
    make_folder(folder)
    write(folder, content)


def write_documents(folder: Path, documents: dict[str, dict[str, Any]]) -> None:
    """Replace files of these names by JSON. Raises OSError if the volume cannot be written."""
    for name, document in documents.items():
        text = strict_json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        replace_file(folder / name, text.encode("utf-8", "replace"))
