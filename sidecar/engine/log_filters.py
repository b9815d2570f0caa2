"""What a log that is read again from its cursor lets through, and what a flood leaves of itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.common.times import SECOND_NS, unix_time
from sidecar.engine.log_lines import RawLine
from sidecar.model.history import LogCursor, LogPosition

_BEHIND_NS = 5 * SECOND_NS  # a line is written down long before this much after its stamp


class LogDeduplicator:
    """Lets each line through once, over any number of readings of the same log.

    Each stream is in the order of its stamps (one copier of the engine stamps and writes it), the two together are not.
    Only what a reading repeats is compared: once a reading has reached news of a stream, all that follows on it is
    news, so that a clock that was set back hides nothing.
    """

    def __init__(self, cursor: LogCursor | None = None) -> None:
        marks = (cursor or LogCursor()).marks
        self._marks: dict[int, LogPosition] = {int(stream): mark for stream, mark in marks.items()}
        self._again: dict[int, int] = {}
        self.reopened()

    def reopened(self) -> None:
        """Expect to see again what was seen: how many lines with the last stamp, by stream."""
        self._again = {stream: mark.lines for stream, mark in self._marks.items()}

    def new(self, line: RawLine) -> bool:
        """Tell whether this line was not seen before, and remember it."""
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
        """Return from when to ask again, as the engine wants it (`seconds.nanoseconds`); None: from the beginning.

        A stream that has long been silent does not have the other one read again from its last word. When the clock
        was set back behind the last line, there is nothing to go by but the present.
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
    """Keeps a flood of lines from filling the ledger: only so many lines and bytes of one second are kept.

    A second is one of the lines' own stamps, so that catching up after a gap is no flood.
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
        """Tell whether lines were left out that no notice speaks of yet."""
        return self._held > 0

    def admit(self, line: RawLine) -> bool:
        """Tell whether this line is to be kept; ask for a notice before, when its second is another."""
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
        """Hear that more was left out than was counted: the flood was too much even to read."""
        self._more = True

    def notice(self, line: RawLine | None = None) -> tuple[int, str] | None:
        """Return what was left out, as a stamp and a sentence, once that second is over.

        Args:
            line: the line about to be admitted; None: enough time has passed without one.
        """
        if not self._held or (line is not None and line.ns // SECOND_NS == self._second):
            return None
        count = f"{'at least ' if self._more else ''}{self._held}"
        self._held, self._more = 0, False
        return self._held_ns, f"… {count} lines left out here: more came in one second than are kept"
