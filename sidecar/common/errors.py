"""The errors that a person can see, and their exit codes.

    KitError                exit 2   wrong input, or a failed step.

    ├── SettingError        exit 2   a setting has an invalid value.

    ├── LocustfileError     exit 2   the user's file is missing, broken or empty.

    ├── EngineError         exit 2   Docker is missing, refuses, is too old, or does not answer.

    ├── StackError          exit 2   the stack is down, or did not start.

    └── LedgerError         exit 2   the ledger cannot be opened, read or written (disk full, rights, locked).

One error is one line: what is wrong, where, the value seen, the value expected, what to do.
"""

from __future__ import annotations

from sidecar.common.redaction import without_user_info
from sidecar.common.visible_text import harmless


class KitError(Exception):
    """A failure, reported in one line.

    Args:
        what: what is wrong, with the value seen ("WORKERS is 'abc'").
        wanted: the expected value or state ("a whole number from 1, or auto").
        where: the source of the value (".env line 3", "make command line").
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
        """Return the error as plain text, mostly one line, without the user and password of a URL."""
        place = f" ({self.where})" if self.where else ""
        wanted = f"; expected: {self.wanted}" if self.wanted else ""
        fix = f" → {self.fix}" if self.fix else ""
        return harmless(without_user_info(f"{self.what}{place}{wanted}{fix}"), keep="\n")


def why_unreachable(error: BaseException, no_answer: str) -> str:
    """Return a few words on why a network call failed; `no_answer` is the text for a time-out."""
    if isinstance(error, TimeoutError):
        return no_answer
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return getattr(error, "strerror", None) or type(error).__name__


class SettingError(KitError):
    """A setting has an invalid value."""


class LocustfileError(KitError):
    """The user's locustfile is missing, broken, or has nothing to run."""


class EngineError(KitError):
    """Docker is missing, refuses, is too old, or does not answer."""


class StackError(KitError):
    """The stack is down, or did not start."""


class LedgerError(KitError):
    """The ledger cannot be opened, read or written now."""
