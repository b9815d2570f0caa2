"""The self-test's victims: the ways in which they are OOM-killed, their start, their exits, and their removal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sidecar.common.errors import KitError, StackError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.model.incident import SIGKILL_EXIT
from sidecar.stack import state
from sidecar.stack.docker_command import printed
from sidecar.stack.registered import Clock

ROLE = "io.locust-kit.role=selftest"
PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.5
_LOG_LINES = 50
CHILDREN = 3
RESTARTS = 3
MEMORY = "64m"

# It needs only Python itself. The parent of the children prints one line of JSON for each lost child.
PROGRAM = f"""
import json, os, sys, time

def eat():
    kept = []
    while True:
        kept.append(b"x" * (4 << 20))

if sys.argv[1] == "main":
    eat()
for _ in range({CHILDREN}):
    child = os.fork()
    if child == 0:
        eat()
    _, status = os.waitpid(child, 0)
    signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    print(json.dumps({{"lost": child, "signal": signal, "at_ns": time.time_ns()}}), flush=True)
    time.sleep(0.5)
print(json.dumps({{"done": True}}), flush=True)
time.sleep(600)
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to be killed: its name, the argument of the program, and the restart policy of its container."""

    name: str
    argument: str
    restart: str = "no"

    def losses(self, inspected: Mapping[str, Any], log: Sequence[str]) -> int | None:
        """Return how many of the victim's processes were killed, by its own count; None while it runs.

        For a main process, this is the exit code of its container: 137 without a signal from anyone. For children, it
        is the log of their parent.
        """
        if self.argument == "children":
            return _logged(log)
        state = inspected.get("State") or {}
        if state.get("Status") != "exited":
            return None
        return (inspected.get("RestartCount") or 0) + 1 if state.get("ExitCode") == SIGKILL_EXIT else 0


SHAPES = (
    Shape("main process", "main"),
    Shape("children", "children"),  # killed one after another, while the main process survives
    Shape("restart loop", "main", restart=f"on-failure:{RESTARTS}"),
)


def _logged(log: Sequence[str]) -> int | None:
    entries = [entry for line in log if (entry := state.json_object(line))]
    if not any(entry.get("done") for entry in entries):
        return None
    return sum(1 for entry in entries if entry.get("signal") == 9)  # noqa: PLR2004  SIGKILL


class SelftestError(KitError):
    """The self-test itself failed."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Victim:
    """One container that will be OOM-killed."""

    shape: Shape
    name: str
    id: str


@contextmanager
def started(image: str, mark: str) -> Iterator[tuple[Victim, ...]]:
    """Start one container of each shape. At the end, they are always removed.

    Args:
        image: an image with Python.
        mark: a word for the names that no other self-test uses.

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
    """Return the arguments of a victim's container: limited, hardened, without a network, labelled as the kit's own."""
    return [
        *("run", "--detach", "--name", name, "--label", ROLE, "--restart", shape.restart),
        *("--memory", MEMORY, "--memory-swap", MEMORY, "--pids-limit", "32", "--network", "none"),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
        *("--no-healthcheck", "--entrypoint", "python3", image, "-c", PROGRAM, shape.argument),
    ]


def _docker(*words: str) -> str:
    try:
        return printed(*words, what=f"docker {words[0]}").strip()
    except StackError as error:
        raise SelftestError(error.what, fix=error.fix) from None


def wait_for_losses(victims: Sequence[Victim], engine: DockerEngine, clock: Clock) -> dict[str, int]:
    """Wait until each victim has had its kills; return their number, by container id.

    Raises:
        SelftestError: a victim did not finish, or was not killed at all, so the test has no result.

    """
    deadline = clock.now() + PATIENCE_SECONDS
    losses: dict[str, int] = {}
    while len(losses) < len(victims):
        for victim in victims:
            lost = victim.shape.losses(engine.inspect(victim.id) or {}, engine.logs(victim.id, _LOG_LINES))
            if lost is not None:
                losses[victim.id] = lost
        if len(losses) < len(victims):
            if clock.now() > deadline:
                late = ", ".join(victim.shape.name for victim in victims if victim.id not in losses)
                raise SelftestError(f"these victims did not finish within {PATIENCE_SECONDS:.0f} s: {late}")
            clock.sleep(_PAUSE_SECONDS)
    unhurt = ", ".join(victim.shape.name for victim in victims if not losses[victim.id])
    if unhurt:
        raise SelftestError(
            f"the kernel killed no process in: {unhurt}",
            where="check whether the kernel uses swap in spite of the limit",
        )
    return losses
