"""What the Locust image can do besides being Locust: `check` and `try` (see docker/locust/entrypoint.py)."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run the command named first; return its exit status."""
    if arguments[:1] == ["check"]:
        from .check import main as check  # noqa: PLC0415  importing Locust patches the standard library: only when needed

        return check()
    from .try_once import main as try_once  # noqa: PLC0415  the same

    return try_once()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
