"""Data from workers that the master refused: counted by worker and reason, and logged once for each."""

from __future__ import annotations

import logging
import reprlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from locust_kit.run_folder import rfc3339
from locust_kit.texts import OTHERS, safe

logger = logging.getLogger("locust_kit")

_MOST = 200  # pairs of worker and reason; above it, refusals are counted together
_LONGEST_NAME, _LONGEST_VALUE = 100, 80
_OTHERS = (OTHERS, "for other reasons")


@dataclass(slots=True)
class _Refused:
    at: str
    changes_figures: bool
    count: int = 0


class Refusals:
    """The refusals of the current run. `changes_figures`: the run's figures may be incomplete because of it."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], _Refused] = {}

    def begin(self) -> None:
        """Forget the refusals of the run before."""
        self._refused = {}

    def add(
        self, worker: Any, reason: str, value: Any = None, *, changes_figures: bool = False, count: int = 1
    ) -> None:
        """Count a refusal, or several; log the first of this worker for this reason."""
        key = safe(worker, _LONGEST_NAME), reason
        if key not in self._refused and len(self._refused) >= _MOST:
            key = _OTHERS
        refused = self._refused.get(key)
        if refused is None:
            refused = self._refused[key] = _Refused(rfc3339(datetime.now(UTC)), changes_figures)
            seen = "" if value is None else f" (value: {safe(_short(value), _LONGEST_VALUE)})"
            what = "its requests are not counted" if changes_figures else "it is ignored"
            logger.warning("locust-kit: refused data from %r: %s%s; %s", key[0], reason, seen, what)
        refused.count += count
        refused.changes_figures |= changes_figures

    @property
    def changed_figures(self) -> int:
        """Return how many refusals may have changed a figure of the run."""
        return sum(refused.count for refused in self._refused.values() if refused.changes_figures)

    def document(self) -> list[dict[str, Any]]:
        """Return all refusals, for the status document and the end of the run."""
        return [
            {
                "worker": worker,
                "reason": reason,
                "count": refused.count,
                "first_at": refused.at,
                "changes_figures": refused.changes_figures,
            }
            for (worker, reason), refused in self._refused.items()
        ]


def _short(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001  numbers of more digits than Python converts, and whatever else
        return f"a {type(value).__name__}"
