"""What else people watch containers with: the seed's loop, `docker stats`, glances."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import statistics
import struct
import subprocess
import termios
import threading
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.bench.meters import daemon_cpu
from tests.bench.stack import PROJECT
from tests.paths import ROOT

GLANCES = "glances[containers]==4.5.8"
_VENV = ROOT / ".locust-kit" / "bench" / "venv"
_STATS = ["docker", "stats", "--no-stream", "--format", "table {{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.NetIO}}"]
SEED = [
    ["docker", "compose", "-p", PROJECT, "ps"],
    _STATS,
    ["docker", "compose", "-p", PROJECT, "logs", "--tail=5", "locust-master"],
]
_ROWS, _COLUMNS = 50, 160


@dataclass(frozen=True)
class Cost:
    """Of one turn: medians over the repetitions, in seconds. The daemon's is not part of `cpu`."""

    cpu: float
    wall: float
    daemon_cpu: float


def turn(commands: Sequence[Sequence[str]], times: int) -> Cost:
    """Run the commands one after the other, several times over."""
    costs = []
    for _ in range(times):
        daemon, began, before = daemon_cpu(), time.perf_counter(), _children_cpu()
        for command in commands:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        costs.append(Cost(_children_cpu() - before, time.perf_counter() - began, daemon_cpu() - daemon))
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.daemon_cpu for cost in costs),
    )


def _children_cpu() -> float:
    """CPU seconds of the commands that this process started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def on_terminal(command: Sequence[str]) -> Iterator[int]:
    """Run a live view on a terminal of its own; gives its pid, and ends it afterwards."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    environ = {**os.environ, "TERM": "xterm"}
    view = subprocess.Popen(command, cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal, env=environ)
    os.close(terminal)
    threading.Thread(target=_drain, args=(main,), daemon=True).start()
    try:
        yield view.pid
        if view.poll() is not None:
            raise RuntimeError(f"{command[0]} ended by itself, with {view.returncode}")
    finally:
        view.terminate()
        view.wait(timeout=30)


def _drain(terminal: int) -> None:
    """Read what a view draws, as a terminal does."""
    with suppress(OSError):
        while os.read(terminal, 65536):
            pass


def glances() -> list[str]:
    """Install glances beside everything else, once; returns its command."""
    program = _VENV / "bin" / "glances"
    if not program.exists():
        venv.create(_VENV, with_pip=True)
        subprocess.run([_VENV / "bin" / "pip", "install", "--quiet", GLANCES], check=True)
    return [str(program), "-t", "2", "--disable-check-update"]
