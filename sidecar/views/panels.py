"""Lines of the panels below the containers: logs, failures, endpoints, remote workers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from sidecar.common import units
from sidecar.common.text import clean
from sidecar.model.incident_kinds import short_worker
from sidecar.model.snapshot import EndpointStats, Failure, LogLine, Worker
from sidecar.views.lines import (
    DIM,
    ERROR,
    MOST_CHARACTERS,
    TITLE,
    WARN,
    Line,
    TextSpan,
    cut,
    hanging,
    harmless,
    line,
)

_COUNT, _RATE, _TIME, _LAST = 9, 8, 9, 9


def failures(rows: Sequence[Failure], width: int, zone: tzinfo | None) -> Iterator[Line]:
    """Draw the failures, each on one line: count, last time, error, request."""
    yield line(TextSpan(f"{'TIMES':>{_COUNT}}  {'LAST':<{_LAST}} ERROR · REQUEST", TITLE))
    for row in sorted(rows, key=lambda row: -row.occurrences):
        last = units.clock(row.last_seen, zone) or units.UNKNOWN
        request = f"{row.method} {row.name}".strip()
        room = max(width // 2, width - _COUNT - _LAST - len(request) - 6)
        yield line(
            TextSpan(f"{units.count(row.occurrences):>{_COUNT}}", ERROR),
            TextSpan(f"  {last:<{_LAST}} ", DIM),
            cut(harmless(row.text), room),
            TextSpan(" · ", DIM),
            request,
        )


def remote_workers(rows: Sequence[Worker]) -> Iterator[Line]:
    """Draw the workers of other machines from the master's figures. They have no row in the container table."""
    yield line(TextSpan(f"{'USERS':>{_COUNT}} {'CPU':>{_RATE}} {'MEMORY':>{_TIME}}  STATE     WORKER", TITLE))
    for row in sorted(rows, key=lambda row: row.id):
        yield line(
            f"{units.count(row.users):>{_COUNT}} {units.percent(row.cpu_percent):>{_RATE}} ",
            f"{units.memory(row.memory_bytes):>{_TIME}}  ",
            TextSpan(f"{harmless(row.state):<9} ", ERROR if row.state == "missing" else ""),
            harmless(f"remote {short_worker(row.id)}"),
        )


def endpoints(rows: Sequence[EndpointStats]) -> Iterator[Line]:
    """Draw the endpoints, the busiest first."""
    heads = f"{'REQUESTS':>{_COUNT}} {'FAILED':>{_COUNT}} {'REQ/S':>{_RATE}} {'P95':>{_TIME}}  REQUEST"
    yield line(TextSpan(heads, TITLE))
    for row in sorted(rows, key=lambda row: -row.requests):
        yield line(
            f"{units.count(row.requests):>{_COUNT}} ",
            TextSpan(f"{units.count(row.failures):>{_COUNT}}", ERROR if row.failures else DIM),
            f" {units.count(row.rps):>{_RATE}} {units.milliseconds(row.p95_ms):>{_TIME}}  ",
            f"{row.method} {row.name}".strip(),
        )


# Locust's own log format: `[date time] host/LEVEL/logger: text`; time and host are known already.
_LOCUST_LOG = re.compile(r"^\[[^\]]+\] [^/\s]+/([A-Z]+)/([\w.]+): (.*)$")
_STYLES = {"WARNING": WARN, "ERROR": ERROR, "CRITICAL": ERROR}
_MOST_ROWS = 12  # of one entry, where entries are wrapped


def said(entry: LogLine) -> tuple[str, str]:
    """Return an entry's shown text and style. Its level is a word, not only a colour."""
    text = harmless(clean(entry.text[:MOST_CHARACTERS]))
    prefixed = _LOCUST_LOG.match(text)
    level, rest = (prefixed[1], f"{prefixed[2]}: {prefixed[3]}") if prefixed else ("", text)
    return (f"{level} {rest}" if level and level != "INFO" else rest), _STYLES.get(level, "")


def tail(logs: Sequence[LogLine], room: int, zone: tzinfo | None) -> Iterator[Line]:
    """Draw the last entries, one line each."""
    for entry in logs[len(logs) - room :] if room else ():
        text, style = said(entry)
        yield line(TextSpan(f"{units.clock(entry.at, zone) or '–':8} ", DIM), TextSpan(text, style))


def whole(logs: Sequence[LogLine], width: int, zone: tzinfo | None) -> Iterator[Line]:
    """Draw every entry on as many lines as it takes."""
    for entry in logs:
        text, style = said(entry)
        yield from hanging(TextSpan(f"{units.clock(entry.at, zone) or '–':8} ", DIM), text, width, _MOST_ROWS, style)
