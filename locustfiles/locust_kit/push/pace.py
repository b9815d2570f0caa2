"""How long to wait: for rows, for the receiver, between two tries. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

_MOST_DOUBLINGS = 16  # far beyond `most`, and far from what a float holds


@dataclass(frozen=True, slots=True)
class RetryPace:
    """Waits and time-outs, in seconds.

    Attributes:
        gather: for how long rows are gathered into one batch.
        connect: until there is a connection.
        whole: until the whole answer is there.
        first, most: the longest pause after the first failed try, and after many.
        longest_asked: the most that a receiver may ask us to wait.
        hurry: for how long a run's end makes tries quick.
    """

    gather: float = 2.0
    connect: float = 5.0
    whole: float = 10.0
    first: float = 1.0
    most: float = 60.0
    longest_asked: float = 300.0
    hurry: float = 5.0

    def backoff(self, failures: int, random: Callable[[], float]) -> float:
        """Return the pause after so many failed tries in a row: anything up to a bound that doubles (full jitter)."""
        return random() * min(self.most, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))

    def asked(self, retry_after: str, now: float) -> float:
        """Return the pause that a Retry-After asks for at `now` (seconds since 1970); 0 when missing or invalid."""
        text = retry_after.strip()
        if text.isascii() and text.isdecimal():
            return min(self.longest_asked, float(text[:10]))
        try:
            at = parsedate_to_datetime(text)
            until = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return 0.0
        return min(self.longest_asked, max(0.0, until - now))
