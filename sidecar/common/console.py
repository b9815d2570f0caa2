"""The output of a command while it works: one line per step, with its duration."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TextIO

from sidecar.common.visible_text import harmless

_NAME_WIDTH = 12


def silence(stream: TextIO) -> None:
    """Discard a broken stream and its unwritten text, because Python flushes it at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@dataclass
class ConsoleStep:
    """One step in progress; `result` is the text of its line."""

    result: str = ""


@dataclass
class Console:
    """Prints steps and notes. A terminal shows a step while it runs; other output shows only its end.

    A failed write does not stop the work. After a closed pipe, a closed terminal or a full disk, the command
    continues without output, and ends with its own exit code.
    """

    out: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Callable[[], float] = time.monotonic

    @property
    def is_terminal(self) -> bool:
        """Return whether the output is a terminal."""
        return self.out.isatty()

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[ConsoleStep]:
        """Print one step: first what runs, then its result and its duration in seconds."""
        began = self.clock()
        step = ConsoleStep()
        if self.is_terminal:
            self.write(harmless(f"  {name:<{_NAME_WIDTH}} {doing} …"))
        try:
            yield step
        except BaseException:
            if self.is_terminal:
                self.write("\n")
            raise
        self.rewrite()
        self.line(f"  {name:<{_NAME_WIDTH}} {step.result or doing}  {self.clock() - began:.1f} s")

    def note(self, text: str) -> None:
        """Print something that is not a step."""
        self.line(f"  {text}")

    def line(self, text: str = "") -> None:
        """Print one line, with control characters as escapes."""
        self.write(f"{harmless(text)}\n")

    def rewrite(self, text: str = "") -> None:
        """Replace the line under the cursor; print nothing without a terminal."""
        if self.is_terminal:
            self.write(f"\r\x1b[K{harmless(text)}")

    def write(self, text: str) -> None:
        """Write at once. After a failed write, discard all further output."""
        try:
            self.out.write(text)
            self.out.flush()
        except OSError:
            silence(self.out)
