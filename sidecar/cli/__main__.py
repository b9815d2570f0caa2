"""`python -m sidecar.cli VERB [NAME=VALUE ...]`: find the verb, call it, report errors in one line and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.cli.verbs import VERBS, call
from sidecar.common.atomic import PRIVATE_UMASK
from sidecar.common.console import silence
from sidecar.common.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_USAGE = 2
_INTERRUPTED = 130
_BROKEN_PIPE = 141  # what a shell shows for a program that SIGPIPE ended
_HELP = frozenset({"-h", "--help", "help"})
_VERSION = "--version"


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one verb and return its exit code: 2 for a user's mistake, which is reported in one line on stderr."""
    verb, *rest = argv or ["targets"]
    asks = verb in _HELP or bool(_HELP.intersection(rest))
    if verb in _HELP:
        verb = rest[0] if rest else "targets"
    if verb not in VERBS and verb != _VERSION:
        return _unknown(verb)
    try:
        code = _help(verb) if (asks and verb != "targets") or verb == _VERSION else call(VERBS[verb], rest, environ)
        sys.stdout.flush()
    except KitError as error:
        _complain(f"kit {verb}: {error.line()}")
        return error.exit_code
    except KeyboardInterrupt:
        _complain("")
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        silence(sys.stdout)
        return _BROKEN_PIPE
    except OSError as error:  # a folder that may not be written, a full disk: an environment error
        _complain(f"kit {verb}: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return _USAGE
    return code


def _complain(text: str) -> None:
    """Write a line to stderr, after all of stdout. A closed stderr is ignored: the exit code remains."""
    for stream, line in ((sys.stdout, ""), (sys.stderr, f"{text}\n")):
        try:
            stream.write(line)
            stream.flush()
        except OSError:
            silence(stream)


def _help(verb: str) -> int:
    from sidecar.cli import usage  # noqa: PLC0415  a verb that runs needs no help

    if verb == _VERSION:
        print(usage.version())
    else:
        usage.explain(VERBS[verb])
    return 0


def _unknown(verb: str) -> int:
    import difflib  # noqa: PLC0415  only for a mistyped verb

    close = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    print(f"kit: unknown verb {verb!r}{hint} → scripts/kit --help", file=sys.stderr)
    return _USAGE


if __name__ == "__main__":
    # A caller may have closed them (`>&-`): Python has None there then.
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open to the end
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  the same
    os.umask(PRIVATE_UMASK)
    sys.exit(main(sys.argv[1:], os.environ))
