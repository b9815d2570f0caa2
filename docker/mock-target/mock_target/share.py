"""Which of N requests a share of them hits: by count, never by chance, so that a test can compare exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

OTHER = "(other)"


def hits(index: int, share: Fraction) -> bool:
    """Whether request `index` (from 0) is hit. Of the first n requests exactly floor(n x share) are, evenly spread."""
    return (index + 1) * share // 1 > index * share // 1


class Turns:
    """Counts requests per key, for at most `most_keys` keys; whatever comes beyond them shares one counter."""

    def __init__(self, most_keys: int = 10_000) -> None:
        self._most_keys = most_keys
        self._next: dict[str, int] = {}

    def take(self, key: str) -> int:
        """The number of earlier requests with this key."""
        if key not in self._next and len(self._next) >= self._most_keys:
            key = OTHER
        index = self._next.get(key, 0)
        self._next[key] = index + 1
        return index

    def reset(self) -> None:
        """Starts every key again at 0."""
        self._next.clear()
