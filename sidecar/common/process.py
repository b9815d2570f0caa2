"""This process: its CPU time and memory, and the signals that end a run like Ctrl-C."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from types import FrameType

CTRL_C = "Ctrl-C"
HANGUP = "SIGHUP (the terminal was closed)"
_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGHUP: HANGUP}
_STATM = Path("/proc/self/statm")


class Signalled(KeyboardInterrupt):
    """A signal arrived; the text is for people."""


def name_of(interrupt: KeyboardInterrupt) -> str:
    """Return the cause of the interruption: a signal's name, or Ctrl-C."""
    return str(interrupt) if isinstance(interrupt, Signalled) else CTRL_C


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP interrupt once. A signal that is already ignored (nohup) stays ignored."""
    for number in _NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # These signals often come twice: from the terminal and the shell, or from `timeout` to the child and its group.
    # Only a second Ctrl-C is on purpose.
    for name in _NAMES:
        signal.signal(name, signal.SIG_IGN)
    raise Signalled(_NAMES[signal.Signals(number)])


def cpu_seconds() -> float:
    """Return the CPU time so far, including the processes that sent alerts."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def memory_bytes() -> int:
    """Return the resident memory now."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
