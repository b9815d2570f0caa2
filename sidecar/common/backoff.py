"""Longer and longer pauses for a source that fails."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles the pause after each failure in a row, from `first_seconds` to `most_seconds`. Immutable."""

    first_seconds: float = 1.0
    most_seconds: float = 30.0
    failures: int = 0
    next_try_seconds: float = 0.0

    def due(self, now_seconds: float) -> bool:
        """Return whether to try the source again (`now_seconds` on the clock given to `failed`)."""
        return now_seconds >= self.next_try_seconds

    def failed(self, now_seconds: float) -> Backoff:
        """Return the state after one more failure."""
        pause = min(self.most_seconds, self.first_seconds * 2**self.failures)
        return replace(self, failures=self.failures + 1, next_try_seconds=now_seconds + pause)

    def succeeded(self) -> Backoff:
        """Return the state after a success: no pause."""
        return replace(self, failures=0, next_try_seconds=0.0) if self.failures else self
