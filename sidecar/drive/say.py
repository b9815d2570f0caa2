"""What a command prints while it works: one line a step, with the time it took."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME_WIDTH = 12


@dataclass
class Step:
    """One step under way; `result` is what its line will say."""

    result: str = ""


@dataclass
class Say:
    """Prints steps and notes. On a terminal a step is announced while it runs; elsewhere only its end is told."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Callable[[], float] = time.monotonic

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches."""
        return self.out.isatty()

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        """Tell of one step: what is being done, then what came of it and in how many seconds."""
        began = self.clock()
        step = Step()
        if self.is_terminal:
            self.out.write(f"  {name:<{_NAME_WIDTH}} {doing} …")
            self.out.flush()
        try:
            yield step
        except BaseException:
            if self.is_terminal:
                self.out.write("\n")
            raise
        if self.is_terminal:
            self.out.write("\r\x1b[K")
        self.line(f"  {name:<{_NAME_WIDTH}} {step.result or doing}  {self.clock() - began:.1f} s")

    def note(self, text: str) -> None:
        """Say something that is no step."""
        self.line(f"  {text}")

    def line(self, text: str = "") -> None:
        """One line as it is."""
        self.out.write(f"{text}\n")
        self.out.flush()
