"""Counts of the server: each request counts once, at the end of its behaviour."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import attrgetter

from mock_target.share import OTHER

SCHEMA_VERSION = 1

CLIENT_LEFT = "client_left"


@dataclass(frozen=True, slots=True)
class CountKey:
    """The key of a count: path, behaviour, and the sent status (None without a complete status line)."""

    path: str
    behaviour: str
    status: int | None


class Counts:
    """Requests per (path, behaviour, status), and the number of hanging connections."""

    def __init__(self, most_paths: int = 1_000) -> None:
        self._most_paths = most_paths
        self._paths: set[str] = set()
        self._rows: Counter[CountKey] = Counter()
        self.hanging_now = 0

    def record(self, path: str, behaviour: str, status: int | None) -> None:
        """Count a request. After the first thousand paths, a new path counts as `(other)`."""
        if path not in self._paths:
            if len(self._paths) >= self._most_paths:
                path = OTHER
            self._paths.add(path)
        self._rows[CountKey(path, behaviour, status)] += 1

    def reset(self) -> None:
        """Reset the counts, except for hanging connections."""
        self._rows.clear()
        self._paths.clear()

    def document(self) -> dict[str, object]:
        """Return the JSON document of GET /_mock/counts."""
        rows = sorted(self._rows.items(), key=lambda item: (item[0].path, item[0].behaviour, item[0].status or 0))
        return {
            "schema_version": SCHEMA_VERSION,
            "requests": self._rows.total(),
            "hanging_now": self.hanging_now,
            "paths": self._sum_by("path"),
            "behaviours": self._sum_by("behaviour"),
            "statuses": self._sum_by("status"),
            "rows": [
                {"path": row.path, "behaviour": row.behaviour, "status": row.status, "count": count}
                for row, count in rows
            ],
        }

    def _sum_by(self, field: str) -> dict[str, int]:
        key = attrgetter(field)
        sums: Counter[str] = Counter()
        for row, count in self._rows.items():
            sums[_named(key(row))] += count
        return dict(sorted(sums.items()))


def _named(value: str | int | None) -> str:
    return "none" if value is None else str(value)
