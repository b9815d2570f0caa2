"""The batches on the disk: `<runs>/<run id>/push/000001.json`, each the body of its request. Called off the event loop.

A file is deleted once the receiver has accepted it. The next master continues with the remaining files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from locust_kit.disk import make_folder, replace_file
from locust_kit.failures.records import Record
from locust_kit.push.batch import BatchId, Spooled, body, id_of

FOLDER = "push"


class Spool:
    """The spool of all runs; each batch contains the `labels` of its run."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self.labels: dict[str, Mapping[str, str]] = {}

    def render(self, batch: BatchId, records: Sequence[Record]) -> bytes:
        """Return the body of a new batch."""
        return body(batch, self.labels.get(batch.run_id, {}), [record.document() for record in records])

    def write(self, batch: BatchId, content: bytes, rows: int) -> Spooled:
        """Write a batch. Raises OSError if the volume cannot be written."""
        path = self._runs / batch.run_id / FOLDER / batch.file
        make_folder(path.parent)
        replace_file(path, content)
        return Spooled(batch, path, rows, len(content))

    def split(self, whole: Spooled) -> tuple[Spooled, Spooled]:
        """Cut a batch of two rows or more in two, and remove it.

        Raises:
            OSError, ValueError: its file cannot be read, or the halves cannot be written.

        """
        document = json.loads(whole.path.read_bytes())
        failures, middle = document["failures"], whole.rows // 2
        halves = []
        for which, rows in ((1, failures[:middle]), (2, failures[middle:])):
            half = whole.batch.half(which)
            halves.append(self.write(half, body(half, document["labels"], rows), len(rows)))
        whole.path.unlink()
        return halves[0], halves[1]

    def leftovers(self) -> tuple[list[Spooled], int]:
        """Return the batches on the disk in sending order, and how many other files were ignored.

        Delete halves whose whole batch still exists: the cut was interrupted and is done again. Raises OSError if the
        volume cannot be read.
        """
        paths: dict[BatchId, Path] = {}
        for path in self._runs.glob(f"*/{FOLDER}/*"):
            if path.suffix == ".partial":
                path.unlink(missing_ok=True)
            elif batch := id_of(path.parents[1].name, path.name):
                paths[batch] = path
        batches = frozenset(paths)
        kept, broken = [], 0
        for batch, path in sorted(paths.items()):
            if batch.is_part_of(batches):
                path.unlink(missing_ok=True)
                continue
            try:
                content = path.read_bytes()
                kept.append(Spooled(batch, path, len(json.loads(content)["failures"]), len(content)))
            except (OSError, ValueError, KeyError, TypeError):
                broken += 1
        return kept, broken
