"""Points in time as the documents write them: UTC, RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime

_NEVER_YEAR = 1  # Go's zero time: Docker's way to say "never"


def format_time(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, to the millisecond (`2026-11-22T15:04:05.123Z`)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time; one without a zone is taken as UTC.

    Raises:
        ValueError: the text is no time.

    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def docker_time(text: object) -> datetime | None:
    """Read a time of the Docker API; None for what is absent, malformed, or Docker's "never" (year 1)."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = parse_time(text)
    except ValueError:
        return None
    return None if moment.year == _NEVER_YEAR else moment
