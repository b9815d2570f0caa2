"""Counts of the rows for the status, and log lines that are not repeated."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

logger = logging.getLogger("locust_kit")


@dataclass
class PushCounts:
    """Sums since the master started. `last_ok_at` is seconds since 1970."""

    sent_rows: int = 0
    sent_batches: int = 0
    dropped_rows: int = 0
    refused_rows: int = 0
    retries: int = 0
    last_error: str | None = None
    last_ok_at: float | None = None
    _logged: set[str] = field(default_factory=set)
    _logged_in_outage: set[str] = field(default_factory=set)

    def log_once(self, line: str) -> None:
        """Log a line once."""
        _log(line, self._logged)

    def log_once_an_outage(self, line: str) -> None:
        """Log a line once until a batch is accepted again."""
        _log(line, self._logged_in_outage)

    def accepted(self, rows: int, at: float) -> None:
        """Count an accepted batch; `at` is seconds since 1970."""
        self.sent_rows += rows
        self.sent_batches += 1
        self.last_ok_at = at
        self._logged_in_outage.clear()

    def document(self) -> dict[str, int | str | None]:
        """Return the sums for the status."""
        return {
            "sent_rows": self.sent_rows,
            "sent_batches": self.sent_batches,
            "dropped_rows": self.dropped_rows,
            "refused_rows": self.refused_rows,
            "retries": self.retries,
            "last_error": self.last_error,
            "last_ok_at": None if self.last_ok_at is None else _to_the_second(self.last_ok_at),
        }


def _to_the_second(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _log(line: str, logged: set[str]) -> None:
    if line not in logged:
        logged.add(line)
        logger.warning("locust-kit: push: %s", line)
