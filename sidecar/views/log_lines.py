"""Lines of containers' logs, with Locust's own prefix taken off. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from sidecar.common import units
from sidecar.model.snapshot import LogLine
from sidecar.views.lines import DIM, ERROR, WARN, Line, TextSpan, harmless, line, wrapped

# Locust's own log format: `[date time] host/LEVEL/logger: text`; time and host are known already.
_LOCUST_LOG = re.compile(r"^\[[^\]]+\] [^/\s]+/([A-Z]+)/([\w.]+): (.*)$")
_STYLES = {"WARNING": WARN, "ERROR": ERROR, "CRITICAL": ERROR}
_CLOCK = 9
_MOST_ROWS = 12  # of one entry, where entries are wrapped


def said(entry: LogLine) -> tuple[str, str]:
    """Return an entry's text as it is shown, and its style; a level is told by its word, not by colour alone."""
    text = harmless(entry.text)
    found = _LOCUST_LOG.match(text)
    level, rest = (found[1], f"{found[2]}: {found[3]}") if found else ("", text)
    return (f"{level} {rest}" if level and level != "INFO" else rest), _STYLES.get(level, "")


def tail(logs: Sequence[LogLine], room: int, zone: tzinfo | None) -> Iterator[Line]:
    """Draw the last entries, one line each."""
    for entry in logs[len(logs) - room :] if room else ():
        text, style = said(entry)
        yield line(TextSpan(f"{units.clock(entry.at, zone) or '–':8} ", DIM), TextSpan(text, style))


def whole(logs: Sequence[LogLine], width: int, zone: tzinfo | None) -> Iterator[Line]:
    """Draw every entry on as many lines as it takes."""
    room = max(1, width - _CLOCK)
    for entry in logs:
        text, style = said(entry)
        clock = f"{units.clock(entry.at, zone) or '–':8} "
        for number, row in enumerate(wrapped(text, room, _MOST_ROWS)):
            yield line(TextSpan(" " * _CLOCK if number else clock, DIM), TextSpan(row, style))
