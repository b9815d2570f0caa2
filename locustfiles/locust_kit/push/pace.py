"""Waiting times: for rows, for the receiver, and between two attempts. Pure."""

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
        gather: time in which rows are gathered into one batch.
        connect: until the connection is open.
        whole: until the answer is complete.
        first, most: the longest pause after the first failed attempt, and after many.
        longest_asked: the longest pause that a receiver may request.
        hurry: time after the end of a run in which attempts are quick.
    """

    gather: float = 2.0
    connect: float = 5.0
    whole: float = 10.0
    first: float = 1.0
    most: float = 60.0
    longest_asked: float = 300.0
    hurry: float = 5.0

    def backoff(self, failures: int, random: Callable[[], float]) -> float:
        """Return a random pause after so many failed attempts in a row; its limit doubles each time (full jitter)."""
        return random() * min(self.most, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))

    def asked(self, retry_after: str, now: float) -> float:
        """Return the pause that a Retry-After requests at `now` (seconds since 1970); 0 if missing or invalid."""
        text = retry_after.strip()
        if text.isascii() and text.isdecimal():
            return min(self.longest_asked, float(text[:10]))
        try:
            at = parsedate_to_datetime(text)
            until = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return 0.0
        return min(self.longest_asked, max(0.0, until - now))
