"""This process: what it costs, and the signals that end a run as Ctrl-C does."""

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
    """One of these signals came; its text is what a person should read."""


def name_of(interrupt: KeyboardInterrupt) -> str:
    """Return what interrupted: a signal's name, or Ctrl-C."""
    return str(interrupt) if isinstance(interrupt, Signalled) else CTRL_C


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP interrupt, once; one that is ignored already (nohup) stays so."""
    for number in _NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # They come in twos: from the terminal and from the shell, from `timeout` to the child and to its group. Only
    # Ctrl-C is pressed again on purpose.
    for name in _NAMES:
        signal.signal(name, signal.SIG_IGN)
    raise Signalled(_NAMES[signal.Signals(number)])


def cpu_seconds() -> float:
    """Return the processor time so far, with that of the processes that sent alerts."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def memory_bytes() -> int:
    """Return the resident memory now."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
