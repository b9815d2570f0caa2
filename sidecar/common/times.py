"""Points in time: as text (UTC, RFC 3339), and as whole units since 1970, which sort and compare."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1  # nanoseconds: in the year 2262
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_NEVER_YEAR = 1  # Go's zero time, which Docker uses for "never"


def format_time(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, to the millisecond (`2026-11-22T15:04:05.123Z`)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time; without a zone it is UTC.

    Raises:
        ValueError: the text is not a time.

    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def docker_time(text: object) -> datetime | None:
    """Read a time of the Docker API; None if it is missing, malformed, or Docker's "never" (year 1)."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = parse_time(text)
    except ValueError:
        return None
    return None if moment.year == _NEVER_YEAR else moment


def docker_nanos(text: object) -> int | None:
    """Read a time of the Docker API to the nanosecond, since 1970; None as for `docker_time`.

    `datetime` holds microseconds only, and an incident's identity needs all nine digits.
    """
    moment = docker_time(text)
    if moment is None:
        return None
    fraction = re.search(r"\.(\d{1,9})", str(text))
    return micros(moment.replace(microsecond=0)) * 1000 + int(fraction[1].ljust(9, "0") if fraction else 0)


def unix_time(ns: int) -> str:
    """Write nanoseconds since 1970 in seconds, as the engine reads them; a float is not exact enough."""
    return f"{ns // SECOND_NS}.{ns % SECOND_NS:09d}"


def micros(moment: datetime) -> int:
    """Return the moment in microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def millis(moment: datetime) -> int:
    """Return the moment in whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def nanos(moment: datetime) -> int:
    """Return the moment in nanoseconds since 1970, exactly, but at most the largest value of a column."""
    return max(-_LARGEST, min(micros(moment) * 1000, _LARGEST))


def from_millis(value: int) -> datetime:
    """Return the moment for milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=value)


def from_nanos(value: int) -> datetime:
    """Return the moment for nanoseconds since 1970, to the microsecond."""
    return _EPOCH + timedelta(microseconds=value // 1000)
