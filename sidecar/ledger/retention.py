"""How long and how much the ledger keeps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_MEGABYTE = 1024 * 1024
_HISTORY_FLOOR = 8  # history gives way to the ledger down to an eighth of the whole, then the ledger is cut


@dataclass(frozen=True, slots=True)
class Retention:
    """Keep for `days`, and both files together within `megabytes`: history goes first, then journal, then incidents."""

    days: int = 30
    megabytes: int = 512

    def oldest(self, now: datetime) -> datetime:
        """Return the moment before which nothing is kept."""
        return now - timedelta(days=self.days)

    @property
    def whole_bytes(self) -> int:
        """How much both files together may hold."""
        return self.megabytes * _MEGABYTE

    def history_bytes(self, ledger_bytes: int) -> int:
        """Return how much history may hold beside a ledger of this size."""
        return max(self.whole_bytes // _HISTORY_FLOOR, self.whole_bytes - ledger_bytes)

    @property
    def ledger_bytes(self) -> int:
        """How much the ledger may hold when history has given way."""
        return self.whole_bytes - self.whole_bytes // _HISTORY_FLOOR
