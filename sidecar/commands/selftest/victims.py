"""Starts the victims, waits for their ends, and always removes them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sidecar.commands.selftest.shapes import MEMORY, PROGRAM, SHAPES, Shape
from sidecar.common.errors import KitError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.stack.registered import Clock

ROLE = "io.locust-kit.role=selftest"
PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.5
_COMMAND_SECONDS = 60.0
_LOG_LINES = 50


class SelftestError(KitError):
    """The self-test itself could not be made."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Victim:
    """One container that is to be OOM-killed."""

    shape: Shape
    name: str
    id: str


@contextmanager
def started(image: str, mark: str) -> Iterator[tuple[Victim, ...]]:
    """Start one container of each shape; they are removed at the end, whatever happens.

    Args:
        image: an image with Python.
        mark: a word that no other self-test has, for the names.

    Raises:
        SelftestError: Docker did not start one.

    """
    names = [f"locust-kit-selftest-{mark}-{number}" for number, _ in enumerate(SHAPES, 1)]
    try:
        yield tuple(
            Victim(shape, name, _docker(*_command(shape, name, image)))
            for shape, name in zip(SHAPES, names, strict=True)
        )
    finally:
        with suppress(SelftestError):
            _docker("rm", "--force", "--volumes", *names)


def _command(shape: Shape, name: str, image: str) -> Sequence[str]:
    """The victim's container: limited, hardened, without a network, and marked as one of our own."""
    return [
        *("run", "--detach", "--name", name, "--label", ROLE, "--restart", shape.restart),
        *("--memory", MEMORY, "--memory-swap", MEMORY, "--pids-limit", "32", "--network", "none"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
        *("--no-healthcheck", "--entrypoint", "python3", image, "-c", PROGRAM, shape.argument),
    ]


def _docker(*words: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise SelftestError(f"docker {words[0]} did not end within {_COMMAND_SECONDS:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SelftestError(f"docker {words[0]} failed: {last}")
    return done.stdout.strip()


def wait_for_losses(victims: Sequence[Victim], engine: DockerEngine, clock: Clock) -> dict[str, int]:
    """Wait until each victim has been through its kills; return how many there were, by container id.

    Raises:
        SelftestError: one does not come to its end, or was not killed at all, so that nothing can be said.

    """
    deadline = clock.now() + PATIENCE_SECONDS
    losses: dict[str, int] = {}
    while len(losses) < len(victims):
        for victim in victims:
            found = victim.shape.losses(engine.inspect(victim.id) or {}, engine.logs(victim.id, _LOG_LINES))
            if found is not None:
                losses[victim.id] = found
        if len(losses) < len(victims):
            if clock.now() > deadline:
                late = ", ".join(victim.shape.name for victim in victims if victim.id not in losses)
                raise SelftestError(f"these victims did not come to their end in {PATIENCE_SECONDS:.0f} s: {late}")
            clock.sleep(_PAUSE_SECONDS)
    unhurt = ", ".join(victim.shape.name for victim in victims if not losses[victim.id])
    if unhurt:
        raise SelftestError(f"the kernel killed nothing in: {unhurt}", where="is swap used in spite of its limit?")
    return losses
