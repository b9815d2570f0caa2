"""Signals that end a run as Ctrl-C does: a cancelled CI job's SIGTERM, a closed terminal's SIGHUP."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

CTRL_C = "Ctrl-C"
HANGUP = "SIGHUP (the terminal was closed)"
_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGHUP: HANGUP}


class Signalled(KeyboardInterrupt):
    """One of these signals came; its text is what a person should read."""


def name_of(interrupt: KeyboardInterrupt) -> str:
    """What interrupted, in a word."""
    return str(interrupt) if isinstance(interrupt, Signalled) else CTRL_C


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP interrupt, once; one that is ignored already (nohup) stays so."""
    for number in _NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # They come in twos: from the terminal and from the shell, from `timeout` to the child and to its group. Only
    # Ctrl-C is pressed again on purpose.
    for each in _NAMES:
        signal.signal(each, signal.SIG_IGN)
    raise Signalled(_NAMES[signal.Signals(number)])
