"""The terminal as a full screen that is always restored: alternate buffer, hidden cursor, single keys.

The kernel's signal keys are off while the screen is ours, so Ctrl-C arrives as a key. The program that started us
(make) sees no interrupt, and Ctrl-C leaves the view as `q` does.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import sys
import termios
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment, Segments
from rich.style import Style

from sidecar.views import lines as names
from sidecar.views.lines import Line

# With wrapping off, a line that the terminal finds wider than we do ends at the margin and breaks nothing.
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"
_SEQUENCE_SECONDS = 0.05  # how long the rest of a key's sequence may lag behind its escape
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_LOCAL_FLAGS, _CONTROL_CHARACTERS = 3, 6  # places in what termios.tcgetattr returns

# CSI and SS3 sequences. Whole ones that mean nothing here (a mouse, a focus change) are dropped whole: none of their
# letters may act as a key.
_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]")
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_NAMES = {
    b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end",
    b"1~": "home", b"7~": "home", b"4~": "end", b"8~": "end", b"5~": "pageup", b"6~": "pagedown",
}  # fmt: skip
_CONTROLS = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x03": "ctrl-c", "\x04": "ctrl-d"}


def is_begun(data: bytes) -> bool:
    """Return whether more bytes may follow: an escape alone is either a key or the start of a sequence."""
    return _BEGUN.search(data) is not None


def decoded(data: bytes) -> tuple[str, ...]:
    """Return the keys in what was read: a character itself, or a name (`up`, `pagedown`, `esc`, `enter`, `ctrl-c`)."""
    keys: list[str] = []
    rest = data
    while rest:
        if sequence := _SEQUENCE.match(rest):
            name = _NAMES.get(sequence[0][2:])
            keys += [name] if name else []
            rest = rest[sequence.end() :]
        elif rest.startswith(b"\x1b"):
            keys.append("esc")
            rest = b"" if is_begun(rest) else rest[1:]
        else:
            plain, escape, after = rest.partition(b"\x1b")
            keys += [_CONTROLS.get(character, character) for character in plain.decode("utf-8", "ignore")]
            rest = escape + after
    return tuple(keys)


class EndedBySignal(SystemExit):
    """A signal asks the process to end; its exit code is the shell's 128 + number."""


class Screen:
    """A context in which the terminal is ours. Its end restores the terminal, whatever ended it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._keys = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._saved: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._wakers = socket.socketpair()
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        """Take the terminal."""
        try:
            self._take_signals()
            self._take_keys()
            self._console.set_alt_screen(enable=True)
            self._console.show_cursor(show=False)
            self._send(_WRAP_OFF)
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._give_back()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        return self._console.size.width, self._console.size.height

    def draw(self, lines: Sequence[Line]) -> None:
        """Replace what is on the screen, in one write."""
        width, height = self.size
        self._console.print(renderable(lines, width, height), end="", crop=False, overflow="ignore", no_wrap=True)

    def wait(self, seconds: float) -> tuple[str, ...]:
        """Wait until the time is over, the size changes or keys are pressed; return those keys.

        A terminal that is gone counts as the key for leaving.
        """
        sources: list[Any] = [self._wakers[0]] if self._keys is None else [self._wakers[0], self._keys]
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self._wakers[0] in ready:
            self._wakers[0].recv(64)
        if self._keys is None or self._keys not in ready:
            return ()
        data = os.read(self._keys, 1024)
        while is_begun(data) and select.select([self._keys], [], [], _SEQUENCE_SECONDS)[0]:
            more = os.read(self._keys, 1024)
            if not more:
                break
            data += more
        return decoded(data) if data else ("ctrl-d",)

    def _send(self, sequence: str) -> None:
        self._console.print(Segments([Segment(sequence, None, [(ControlType.HOME,)])]), end="")

    def _take_signals(self) -> None:
        for end in self._wakers:
            end.setblocking(False)  # noqa: FBT003  # the socket module has it so
        self._wakeup_before = signal.set_wakeup_fd(self._wakers[1].fileno(), warn_on_full_buffer=False)
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, _end)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _nothing)  # the wake-up alone redraws

    def _take_keys(self) -> None:
        if self._keys is None:
            return
        self._saved = termios.tcgetattr(self._keys)
        ours = termios.tcgetattr(self._keys)
        ours[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
        ours[_CONTROL_CHARACTERS][termios.VMIN] = 1
        ours[_CONTROL_CHARACTERS][termios.VTIME] = 0
        termios.tcsetattr(self._keys, termios.TCSADRAIN, ours)

    def _give_back(self) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)  # a second signal must not stop us half way
        try:
            self._send(_WRAP_ON)
            self._console.show_cursor(show=True)
            self._console.set_alt_screen(enable=False)
        finally:
            if self._keys is not None and self._saved is not None:
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._saved)
            signal.set_wakeup_fd(self._wakeup_before)
            for taken, handler in self._handlers.items():
                signal.signal(taken, handler)
            for end in self._wakers:
                end.close()


def _end(number: int, _frame: FrameType | None) -> None:
    raise EndedBySignal(128 + number)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    return


STYLES = {
    names.OK: Style(color="green"),
    names.WARN: Style(color="yellow", bold=True),
    names.ERROR: Style(color="red", bold=True),
    names.DIM: Style(dim=True),
    names.TITLE: Style(bold=True),
    names.BANNER: Style(color="white", bgcolor="red", bold=True),
    names.SELECTED: Style(reverse=True, bold=True),
    "": Style.null(),
}


def renderable(lines: Sequence[Line], width: int, height: int) -> Segments:
    """Turn a frame into what rich prints: each line filled to the width, so that nothing older shines through.

    Each line is put at its own place: one that the terminal finds wider than we do cannot push the next ones down.
    """
    segments: list[Segment] = []
    for number in range(height):
        line: Line = lines[number] if number < len(lines) else ()
        segments.append(Control.move_to(0, number).segment)
        segments.extend(Segment(span.text, STYLES[span.style]) for span in line)
        segments.append(Segment(" " * max(0, width - names.width_of(line))))
    return Segments(segments)
