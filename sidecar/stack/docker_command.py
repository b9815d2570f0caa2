"""The docker command, for what the engine's API is not asked: building, running in the foreground, removing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecar.common.errors import StackError


@contextmanager
def installed() -> Iterator[None]:
    """Say in one line that the docker command is missing."""
    try:
        yield
    except FileNotFoundError:
        raise StackError("the docker command is not installed", fix="run `make setup`") from None


@installed()
def docker(
    *arguments: str, seconds: float = 60.0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one docker command without input; return its exit code and what it printed.

    Raises:
        StackError: the command is not installed.
        subprocess.TimeoutExpired: it did not end in time.

    """
    return subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=seconds,
        check=False,
        env=env,
    )
