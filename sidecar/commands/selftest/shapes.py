"""The ways to be OOM-killed that the self-test tries, and the little program that each victim runs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHILDREN = 3
RESTARTS = 3
MEMORY = "64m"
_SIGKILL_EXIT = 137

# It needs nothing but Python itself. The parent of the children writes down what it lost: one line of JSON a child.
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
    """One way to be killed: its name, what the program is told, and the restart policy of its container."""

    name: str
    what: str
    argument: str
    restart: str = "no"

    def losses(self, inspected: Mapping[str, Any], log: Sequence[str]) -> int | None:
        """Return how many of the victim's processes were killed, by its own witness; None while it goes on.

        The witness of a main process is how its container ended: 137 without anybody having sent a signal. That of
        children is their parent's log.
        """
        if self.argument == "children":
            return _logged(log)
        state = inspected.get("State") or {}
        if state.get("Status") != "exited":
            return None
        return (inspected.get("RestartCount") or 0) + 1 if state.get("ExitCode") == _SIGKILL_EXIT else 0


SHAPES = (
    Shape("main process", "the container's main process is killed", "main"),
    Shape("children", f"{CHILDREN} children are killed, one after another, while the main process lives", "children"),
    Shape("restart loop", f"the main process is killed, restarted and killed again, {RESTARTS} times", "main",
          restart=f"on-failure:{RESTARTS}"),
)  # fmt: skip


def _logged(log: Sequence[str]) -> int | None:
    entries = [entry for entry in map(_entry, log) if entry]
    if not any(entry.get("done") for entry in entries):
        return None
    return sum(1 for entry in entries if entry.get("signal") == 9)  # noqa: PLR2004  SIGKILL


def _entry(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
