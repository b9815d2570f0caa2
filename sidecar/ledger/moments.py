"""Moments as the ledger's columns hold them: whole microseconds or milliseconds since 1970, which sort and compare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1  # nanoseconds: in the year 2262
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)


def micros(moment: datetime) -> int:
    """Return the moment in microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def millis(moment: datetime) -> int:
    """Return the moment in whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def nanos(moment: datetime) -> int:
    """Return the moment in nanoseconds since 1970, exactly; one beyond what a column holds as the last that it does."""
    return max(-_LARGEST, min(micros(moment) * 1000, _LARGEST))


def from_millis(value: int) -> datetime:
    """Return the moment that is so many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=value)


def from_nanos(value: int) -> datetime:
    """Return the moment that is so many nanoseconds after 1970, to the microsecond."""
    return _EPOCH + timedelta(microseconds=value // 1000)
