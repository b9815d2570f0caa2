"""Reads the engine's log answers into lines: a whole answer at once, or a stream as it comes. Pure.

It also drops the lines that a new reading repeats, and limits the lines of a flood.
"""

from __future__ import annotations

import calendar
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sidecar.common.text import clean
from sidecar.common.times import SECOND_NS, docker_time, unix_time
from sidecar.common.units import plural
from sidecar.engine.transport import NotALogError, demultiplex, frames
from sidecar.model.history import STDOUT, LogCursor, LogPosition
from sidecar.model.observation import LogEntry

MOST_KEPT_BYTES = 16 * 1024  # of one line
_BEHIND_NS = 5 * SECOND_NS  # the engine writes a line to its file much sooner than this after the line's stamp
_STAMP_BYTES = len("2026-11-22T08:15:28.123456789Z ")
# Only valid times: a container may print similar text, and the log of a terminal has no other borders.
_STAMP = re.compile(
    rb"(?:19[7-9]\d|2[01]\d\d)-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    rb"T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)\.\d{9}Z "
)


def log_entries(body: bytes, *, tty: bool) -> tuple[LogEntry, ...]:
    """Split an answer with `timestamps=1` into entries; without a tty it comes in frames that name their stream."""
    raw = body if tty else demultiplex(body)
    return tuple(_entry(line) for line in raw.decode("utf-8", "replace").split("\n") if line.strip())


def _entry(line: str) -> LogEntry:
    stamp, _, text = line.partition(" ")
    at = docker_time(stamp)
    return LogEntry(at=at, text=clean(text if at else line).strip())


class RawLine(NamedTuple):
    """One whole line; a tuple, because a flood has many of them.

    `raw` holds at most the first MOST_KEPT_BYTES of its `size_bytes`, without the line's end.
    """

    ns: int
    stream: int
    raw: bytes
    size_bytes: int

    def text(self) -> str:
        """Return the line, safe for display; a cut line ends with its original length."""
        kept = clean(self.raw.decode("utf-8", "replace")).rstrip()
        return kept if self.size_bytes <= len(self.raw) else f"{kept}… ({self.size_bytes} bytes)"


@dataclass(slots=True)
class _Open:
    """A line whose end has not come yet."""

    stamp: bytes
    kept: bytearray = field(default_factory=bytearray)
    size_bytes: int = 0

    def add(self, part: bytes) -> None:
        self.size_bytes += len(part)
        if len(self.kept) < MOST_KEPT_BYTES:
            self.kept += part[: MOST_KEPT_BYTES - len(self.kept)]


class LineReader:
    """Reads a followed log with `timestamps=1`, as it comes, into whole lines.

    The engine splits a line of more than 16 KiB into parts with the same stamp, and only the last part has a line end.
    The last words of a process may have no line end. Then the next stamp, or the end of the log, ends them.
    """

    def __init__(self, *, tty: bool) -> None:
        self._tty = tty
        self._buffer = bytearray()
        self._open: dict[int, _Open] = {}

    def feed(self, data: bytes) -> list[RawLine]:
        """Take the next bytes; return the lines that they complete.

        Raises:
            NotALogError: the bytes are not frames of a log.
        """
        self._buffer += data
        return list(self._of_tty() if self._tty else self._of_frames())

    def end(self) -> list[RawLine]:
        """Return the lines without an end when the log itself has ended."""
        rest = bytes(self._buffer) if self._tty else b""
        self._buffer.clear()
        lines = list(self._message(STDOUT, rest)) if rest else []
        return lines + [line for stream in list(self._open) for line in self._close(stream)]

    def _of_frames(self) -> Iterator[RawLine]:
        buffer, position = bytes(self._buffer), 0
        for stream, start, position in frames(buffer):
            yield from self._message(stream, buffer[start:position])
        del self._buffer[:position]

    def _of_tty(self) -> Iterator[RawLine]:
        """Cut at line ends, and before a second stamp within a line: there the part before had no line end."""
        *whole, rest = bytes(self._buffer).split(b"\n")
        *glued, last = _parts(rest)
        for part in (*(part for line in whole for part in _parts(line + b"\n")), *glued):
            yield from self._message(STDOUT, part)
        self._buffer[:] = last
        # The engine's parts are shorter, even with three bytes for each that was not UTF-8. So this would grow for
        # ever.
        if len(last) > 4 * MOST_KEPT_BYTES:
            raise NotALogError(f"{len(last)} bytes without a time stamp")

    def _message(self, stream: int, message: bytes) -> Iterator[RawLine]:
        """Process one message of the engine: a stamp, and a line or a part of one."""
        stamp, part = message[:_STAMP_BYTES], message[_STAMP_BYTES:]
        if not _STAMP.fullmatch(stamp):
            raise NotALogError(f"{stamp!r} is not a time stamp")
        begun = self._open.get(stream)
        if begun is not None and begun.stamp != stamp:
            yield from self._close(stream)
            begun = None
        if begun is None and part.endswith(b"\n"):  # nearly all lines
            yield _line(stamp, stream, part[: min(len(part) - 1, MOST_KEPT_BYTES)], len(part) - 1)
            return
        if begun is None:
            begun = self._open[stream] = _Open(stamp)
        if part.endswith(b"\n"):
            begun.add(part[:-1])
            yield from self._close(stream)
        else:
            begun.add(part)

    def _close(self, stream: int) -> Iterator[RawLine]:
        done = self._open.pop(stream)
        yield _line(done.stamp, stream, bytes(done.kept), done.size_bytes)


def _parts(line: bytes) -> list[bytes]:
    starts = [match.start() for match in _STAMP.finditer(line) if match.start()]
    return [line[start:end] for start, end in zip([0, *starts], [*starts, len(line)], strict=True)]


def _line(stamp: bytes, stream: int, kept: bytes, size_bytes: int) -> RawLine:
    second, _, fraction = stamp.partition(b".")
    return RawLine(_second(second) * SECOND_NS + int(fraction[:9]), stream, kept, size_bytes)


@functools.lru_cache(maxsize=64)
def _second(stamp: bytes) -> int:
    """Parse `2026-11-22T08:15:28`, which many lines in a row share; return seconds since 1970."""
    date, _, time = stamp.partition(b"T")
    year, month, day = (int(part) for part in date.split(b"-"))
    hour, minute, second = (int(part) for part in time.split(b":"))
    return calendar.timegm((year, month, day, hour, minute, second))


class LogDeduplicator:
    """Lets each line through once, over any number of readings of the same log.

    Each stream is in the order of its stamps, because one copier of the engine stamps and writes it. The two streams
    together are not. Only repeated lines are compared: once a reading has reached a new line of a stream, all later
    lines of the stream are new. So a clock that was set back hides nothing.
    """

    def __init__(self, cursor: LogCursor | None = None) -> None:
        marks = (cursor or LogCursor()).marks
        self._marks: dict[int, LogPosition] = {int(stream): mark for stream, mark in marks.items()}
        self._again: dict[int, int] = {}
        self.reopened()

    def reopened(self) -> None:
        """Expect the known lines again: how many lines had the last stamp, by stream."""
        self._again = {stream: mark.lines for stream, mark in self._marks.items()}

    def new(self, line: RawLine) -> bool:
        """Return whether this line is new, and remember it."""
        mark = self._marks.get(line.stream)
        again = self._again.get(line.stream)
        if mark is not None and again is not None:
            if line.ns < mark.ns:
                return False
            if line.ns == mark.ns and again:
                self._again[line.stream] = again - 1
                return False
            del self._again[line.stream]
        same = mark is not None and mark.ns == line.ns
        self._marks[line.stream] = LogPosition(line.ns, mark.lines + 1 if mark is not None and same else 1)
        return True

    def cursor(self) -> LogCursor:
        """Return how far the log has been read."""
        return LogCursor({str(stream): mark for stream, mark in self._marks.items()})

    def since(self, now_ns: int) -> str | None:
        """Return the time for the next reading, in the engine's form (`seconds.nanoseconds`); None: from the beginning.

        A stream that was silent for long must not cause the other one to be read again from that time. If the clock was
        set back behind the last line, the reading starts now.
        """
        if not self._marks:
            return None
        stamps = [mark.ns for mark in self._marks.values()]
        if max(stamps) > now_ns + _BEHIND_NS:
            self._marks.clear()
            self._again.clear()
            return unix_time(now_ns)
        return unix_time(max(min(stamps), max(stamps) - _BEHIND_NS))


@dataclass(slots=True)
class LineRateLimiter:
    """Keeps a flood of lines from filling the ledger: it limits the lines and bytes of one second.

    A second is one of the lines' own stamps, so that catching up after a gap is not a flood.
    """

    most_lines: int = 200
    most_bytes: int = 256 * 1024
    _second: int = 0
    _lines: int = 0
    _bytes: int = 0
    _held: int = 0
    _held_ns: int = 0
    _more: bool = False

    @property
    def holds(self) -> bool:
        """Return whether lines were left out that no notice has reported yet."""
        return self._held > 0

    def admit(self, line: RawLine) -> bool:
        """Return whether to keep this line. Ask for a notice before, if the line is of another second."""
        second = line.ns // SECOND_NS
        if second != self._second:
            self._second, self._lines, self._bytes = second, 0, 0
        self._lines += 1
        self._bytes += len(line.raw)
        if self._lines <= self.most_lines and (self._bytes <= self.most_bytes or self._lines == 1):
            return True
        self._held += 1
        self._held_ns = line.ns
        return False

    def skip(self) -> None:
        """Note that more lines were left out than were counted: the flood was too large to read."""
        self._more = True

    def notice(self, line: RawLine | None = None) -> tuple[int, str] | None:
        """Return the number of lines left out, as a stamp and a sentence, once their second is over.

        Args:
            line: the next line to be admitted; None: enough time has passed without one.
        """
        if not self._held or (line is not None and line.ns // SECOND_NS == self._second):
            return None
        count = f"{'at least ' if self._more else ''}{plural(self._held, 'line')}"
        self._held, self._more = 0, False
        return self._held_ns, f"… {count} left out here: too many came in one second"
