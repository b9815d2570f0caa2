"""`python -m sidecar.cli VERB [NAME=VALUE ...]`: finds the verb, runs it, tells errors in one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from sidecar.cli import VERBS
from sidecar.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_USAGE = 2
_INTERRUPTED = 130
_HELP = frozenset({"-h", "--help", "help"})


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one verb; its exit code (2 for a user's mistake, told in one line on stderr)."""
    verb = argv[0] if argv else "targets"
    rest = list(argv[1:])
    if verb in _HELP or _HELP.intersection(rest):
        verb, rest = "targets", []
    if verb not in VERBS:
        return _unknown(verb)
    try:
        return int(importlib.import_module(VERBS[verb]).run(rest, environ))
    except KitError as error:
        sys.stdout.flush()
        print(f"kit {verb}: {error.line()}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a folder that may not be written, a full disk: the world's fault, still one line
        print(f"kit {verb}: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return _USAGE


def _unknown(verb: str) -> int:
    import difflib  # noqa: PLC0415  only for a mistyped verb

    close = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    print(f"kit: there is no verb {verb!r}{hint} (one of {', '.join(VERBS)})", file=sys.stderr)
    return _USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
