"""The answer of the receiver, and what it means for the batch. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_ALREADY_THERE, _TOO_LARGE = 409, 413
_LATER = frozenset({408, 429})
_KEY_REFUSED = frozenset({401, 403})


class BatchFate(Enum):
    """What becomes of a batch: it is accepted; tried again; kept and tried seldom; cut in two; given up."""

    TAKEN = "taken"
    AGAIN = "again"
    KEPT = "kept"
    TOO_LARGE = "too large"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """A status with its Retry-After; or status 0 and, in `broken`, why no whole answer came."""

    status: int = 0
    retry_after: str = ""
    broken: str = ""

    @property
    def text(self) -> str:
        """Return the answer in a word or two. Holds nothing of what was sent, or where to."""
        return self.broken or f"status {self.status}"

    @property
    def fate(self) -> BatchFate:
        """Return what it means. A broken one means another try: the receiver knows by the key what it has already."""
        status = self.status
        if self.broken or status in _LATER:
            return BatchFate.AGAIN
        if 200 <= status < 300 or status == _ALREADY_THERE:
            return BatchFate.TAKEN
        if 300 <= status < 400 or status in _KEY_REFUSED:
            return BatchFate.KEPT
        if status == _TOO_LARGE:
            return BatchFate.TOO_LARGE
        if 400 <= status < 500:
            return BatchFate.REFUSED
        return BatchFate.AGAIN
