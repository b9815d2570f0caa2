"""What a command prints while it works: one line a step, with the time it took."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TextIO

_NAME_WIDTH = 12


def silence(stream: TextIO) -> None:
    """Send a stream that can no longer be written to nowhere, with what it still holds: Python flushes at its exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@dataclass
class ConsoleStep:
    """One step under way; `result` is what its line will say."""

    result: str = ""


@dataclass
class Console:
    """Prints steps and notes. On a terminal a step is announced while it runs; elsewhere only its end is printed.

    What is said is no part of the work: when nobody can hear it any more (a closed pipe, a closed terminal, a full
    disk), the work goes on in silence, to its own end and its own exit code.
    """

    out: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Callable[[], float] = time.monotonic

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person watches."""
        return self.out.isatty()

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[ConsoleStep]:
        """Print one step: what is being done, then what came of it and in how many seconds."""
        began = self.clock()
        step = ConsoleStep()
        if self.is_terminal:
            self.write(f"  {name:<{_NAME_WIDTH}} {doing} …")
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
        """Print one line as it is."""
        self.write(f"{text}\n")

    def rewrite(self, text: str = "") -> None:
        """Put a text in the place of the line under the cursor; nothing where there is no terminal."""
        if self.is_terminal:
            self.write(f"\r\x1b[K{text}")

    def write(self, text: str) -> None:
        """Write at once; where that cannot be, everything from here on goes nowhere."""
        try:
            self.out.write(text)
            self.out.flush()
        except OSError:
            silence(self.out)
