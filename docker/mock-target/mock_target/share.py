"""Choose a share of N requests by count, never by chance, so that a test can compare exactly."""

from __future__ import annotations

from fractions import Fraction

OTHER = "(other)"


def hits(index: int, share: Fraction) -> bool:
    """Return whether request `index` (from 0) is hit: of the first n, exactly floor(n x share), evenly spread."""
    return (index + 1) * share // 1 > index * share // 1


class Turns:
    """A counter of requests per key, for at most `most_keys` keys; further keys share one counter."""

    def __init__(self, most_keys: int = 10_000) -> None:
        self._most_keys = most_keys
        self._next: dict[str, int] = {}

    def take(self, key: str) -> int:
        """Return the number of earlier requests with this key, and count this one."""
        if key not in self._next and len(self._next) >= self._most_keys:
            key = OTHER
        index = self._next.get(key, 0)
        self._next[key] = index + 1
        return index

    def reset(self) -> None:
        """Start every key again at 0."""
        self._next.clear()
