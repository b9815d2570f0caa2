"""The stack that the measurements are made on, on a project and ports of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from tests.paths import ROOT

PROJECT, WEB_PORT, MONITOR_PORT = "kit-bench", 9131, 9132
INTERVAL_SECONDS = 2
SETTINGS = [
    f"PROJECT={PROJECT}",
    f"WEB_PORT={WEB_PORT}",
    f"MONITOR_PORT={MONITOR_PORT}",
    f"INTERVAL={INTERVAL_SECONDS}",
]


def kit(verb: str, *arguments: str) -> None:
    """Run a verb of the host command line, quietly."""
    subprocess.run(["scripts/kit", verb, *SETTINGS, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def stack(workers: int, *, keep: bool) -> Iterator[None]:
    """Bring the stack up, and down at the end unless it is to be kept for another run."""
    kit("up", f"WORKERS={workers}", "MOCK=1", "WORKER_MEMORY=128m")
    try:
        yield
    finally:
        if not keep:
            kit("down")


@cache
def container_id(service: str) -> str:
    """The full id of a service's one container."""
    labels = {"com.docker.compose.project": PROJECT, "com.docker.compose.service": service}
    filters = [part for name, value in labels.items() for part in ("--filter", f"label={name}={value}")]
    return docker("ps", "-q", "--no-trunc", *filters).split()[0]


def docker(*arguments: str) -> str:
    """What the docker command line prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
