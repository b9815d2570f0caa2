"""The errors a person can meet, and the exit codes they end in.

    KitError                exit 2   bad input, or a step that could not be done
    ├── SettingError        exit 2   a setting with an invalid value
    ├── LocustfileError     exit 2   the user's file is missing, broken or empty
    ├── EngineError         exit 2   Docker is absent, refuses, is too old, or does not answer
    ├── StackError          exit 2   the stack is down, or did not come up
    └── LedgerError         exit 2   the ledger cannot be opened, read or written (disk full, rights, locked)

One error is one line: what is wrong, where, the value seen, the value expected, what to do.
"""

from __future__ import annotations


class KitError(Exception):
    """A failure, reported in one line.

    Args:
        what: what is wrong, with the value seen ("WORKERS is 'abc'").
        wanted: the value or state that is expected ("a whole number from 1, or auto").
        where: the place it comes from (".env line 3", "make command line").
        fix: the next command or edit ("make up WORKERS=4").
    """

    exit_code = 2

    def __init__(self, what: str, *, wanted: str = "", where: str = "", fix: str = "") -> None:
        self.what = what
        self.wanted = wanted
        self.where = where
        self.fix = fix
        super().__init__(self.line())

    def line(self) -> str:
        """Return the whole error as one line of plain text."""
        place = f" ({self.where})" if self.where else ""
        wanted = f"; expected: {self.wanted}" if self.wanted else ""
        fix = f" → {self.fix}" if self.fix else ""
        return f"{self.what}{place}{wanted}{fix}"


def why_unreachable(error: BaseException, no_answer: str) -> str:
    """Return in a few words why a call over the network failed; `no_answer` are the words for a time-out."""
    if isinstance(error, TimeoutError):
        return no_answer
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return getattr(error, "strerror", None) or type(error).__name__


class SettingError(KitError):
    """A setting has an invalid value."""


class LocustfileError(KitError):
    """The user's locustfile is missing, broken or holds nothing to run."""


class EngineError(KitError):
    """Docker is absent, refuses us, is too old, or does not answer."""


class StackError(KitError):
    """The stack is down, or did not come up."""


class LedgerError(KitError):
    """The ledger cannot be opened, read or written now."""
