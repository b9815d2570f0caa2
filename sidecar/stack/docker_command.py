"""The docker command, for building, running in the foreground and removing."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecar.common.errors import StackError


@contextmanager
def installed() -> Iterator[None]:
    """Return the error for a missing docker command."""
    try:
        yield
    except FileNotFoundError:
        raise StackError("the docker command is not installed", fix="run `make setup`") from None


class DockerSlowError(StackError):
    """The docker command did not end in time."""


def docker(
    *arguments: str, what: str = "", seconds: float = 60.0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one docker command without input; return its exit code and its output.

    `what` names the command in an error: "docker VERB" unless given.

    Raises:
        DockerSlowError: it took too long.
        StackError: it is not installed, or could not be run.

    """
    what = what or f"docker {arguments[0]}"
    try:
        with installed():
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
    except subprocess.TimeoutExpired:
        raise DockerSlowError(f"{what} took more than {seconds:.0f} s") from None
    except OSError as error:
        raise StackError(f"{what} could not be run: {error}") from None


def printed(*arguments: str, what: str, seconds: float = 60.0, env: Mapping[str, str] | None = None) -> str:
    """Run one docker command for `what`; return its output.

    Raises:
        StackError: it failed. The message has the last line of its output.

    """
    done = docker(*arguments, what=what, seconds=seconds, env=env)
    if done.returncode:
        raise StackError(f"{what} failed: {last_words(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def last_words(output: str) -> str:
    """Return the line of an output that probably has the cause: the last one with an error, or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")


def csv_line(*fields: str) -> str:
    """Return the value of `--mount` or `--secret`, which is a line of CSV."""
    line = io.StringIO()
    csv.writer(line).writerow(fields)
    return line.getvalue().strip()
