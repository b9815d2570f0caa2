"""Batches: their ids, which survive retries and restarts, and the document that is sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust_kit import SCHEMA_VERSION, strict_json

MOST_ROWS = 500
_RUN = re.compile(r"[A-Za-z0-9._-]+")  # characters that are valid in a header, as in run ids
_FILE = re.compile(r"(\d{6,}(?:\.[12])*)\.json")


@dataclass(frozen=True, order=True, slots=True)
class BatchId:
    """A run, and the number of the batch in it; the halves of batch 7 are 7.1 and 7.2. Ids sort in sending order."""

    run_id: str
    numbers: tuple[int, ...]

    @property
    def label(self) -> str:
        """Return the number as text."""
        return ".".join(map(str, self.numbers))

    @property
    def idempotency_key(self) -> str:
        """Return the key that identifies the batch for the receiver."""
        return f"{self.run_id}-{self.label}"

    @property
    def file(self) -> str:
        """Return the name of its file in the spool."""
        first, *halves = self.numbers
        return ".".join((f"{first:06d}", *map(str, halves), "json"))

    def half(self, which: int) -> BatchId:
        """Return the id of its first (1) or second (2) half."""
        return BatchId(self.run_id, (*self.numbers, which))

    def is_part_of(self, others: frozenset[BatchId]) -> bool:
        """Return whether it was cut from one of these."""
        return any(BatchId(self.run_id, self.numbers[:end]) in others for end in range(1, len(self.numbers)))


def id_of(run_id: str, file: str) -> BatchId | None:
    """Return the batch of a file in the spool; None for other files."""
    match = _FILE.fullmatch(file)
    return BatchId(run_id, tuple(map(int, match[1].split(".")))) if match and _RUN.fullmatch(run_id) else None


def body(batch: BatchId, labels: Mapping[str, str], failures: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the document that is kept in the spool and sent."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "run_id": batch.run_id,
        "batch": batch.label if len(batch.numbers) > 1 else batch.numbers[0],
        "labels": dict(labels),
        "failures": list(failures),
    }
    return strict_json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch in the spool: its file, how many rows are in it, and how many bytes."""

    batch: BatchId
    path: Path
    rows: int
    size: int
