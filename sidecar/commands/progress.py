"""Live progress: one line that is rewritten on a terminal, a line every 5 seconds elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.commands import summary

if TYPE_CHECKING:
    from sidecar.commands.follow import RunObserved
    from sidecar.common.console import Console

_EACH_SECONDS = 5.0


@dataclass
class Progress:
    """Shows a run as it goes. `run_time` in seconds, 0 = no end known."""

    say: Console
    run_time: int
    next_line: float = 0.0

    def show(self, seen: RunObserved, seconds: float) -> None:
        """Show what is seen now, `seconds` into the run."""
        text = f"  {summary.progress(seen, seconds, self.run_time)}"
        if self.say.is_terminal:
            width = shutil.get_terminal_size((100, 24)).columns
            self.say.rewrite(text[: width - 1])
        elif seconds >= self.next_line:
            self.next_line = seconds + _EACH_SECONDS
            self.say.line(text)

    def end(self) -> None:
        """Leave the line that was being rewritten."""
        self.say.rewrite()
