"""Quantiles of times that were counted in buckets, as the plugin writes them (performance.json). Pure.

Bucket i holds the times from gamma^(i-1) to gamma^i ms; a quantile is by nearest rank, within half a bucket.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_DOUBT = 0.05  # that even the largest of the samples lies below the true quantile


@dataclass(frozen=True)
class Times:
    """How many times fell into each bucket."""

    gamma: float
    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many times there are."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float | None:
        """The time in ms that `share` (0 to 1) of them did not exceed; None without any."""
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return 2 * self.gamma**index / (self.gamma + 1)
        return None


def together(parts: Iterable[Times]) -> Times:
    """All of them as one. They must share one gamma."""
    counts: Counter[int] = Counter()
    gamma = 1.02
    for part in parts:
        gamma = part.gamma
        counts.update(part.counts)
    return Times(gamma, counts)


def least_samples(quantile: float) -> int:
    """How many samples a quantile needs to say anything: 59 for p95, 299 for p99, 2995 for p99.9.

    With fewer, the chance is above 5 % that even the largest of them lies below the true quantile: quantile^n > 0.05.
    """
    return math.ceil(math.log(_DOUBT) / math.log(quantile)) if 0 < quantile < 1 else 1
