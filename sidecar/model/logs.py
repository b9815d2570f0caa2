"""Lines of containers' logs as they are kept, and how far each log has been read."""

from __future__ import annotations

from dataclasses import dataclass, field

STDOUT, STDERR = 1, 2
"""The engine's numbers of a container's two streams; a container with a tty has the first only."""


@dataclass(frozen=True, slots=True)
class StoredLine:
    """One line of a container's log, cleaned for display. `ns` is the engine's own time stamp, since 1970.

    `stream` is STDOUT or STDERR, or 0 for a line of the sidecar's own about what it left out.
    """

    ns: int
    container_id: str
    text: str
    name: str = ""
    project: str | None = None
    service: str | None = None
    stream: int = STDOUT


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far one stream has been read: the time stamp of its last line, and how many lines bear that stamp."""

    ns: int
    lines: int = 1


@dataclass(frozen=True, slots=True)
class LogCursor:
    """How far a container's log has been read, by stream (written as text: it is the key of a JSON object).

    One mark for both would lose lines: the engine stamps a line when it reads it and writes it down a moment later,
    so that a line of one stream can stand behind a younger one of the other.
    """

    marks: dict[str, LogPosition] = field(default_factory=dict)
