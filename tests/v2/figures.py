"""The sidecar's memory of one container beside what `docker stats` prints: `figures.py CONTAINER PORT`.

Standard library only. Exit status: 0 when they agreed each time, 1 when not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any

MEBIBYTE = 1 << 20
TIMES = 5
ROUNDED = 0.005 * MEBIBYTE  # the command line prints 15.01MiB
SAMPLING = 4 * 4096  # a few pages come and go between two looks


def snapshot(name: str, port: str) -> int:
    """The working set in the newest snapshot, in bytes."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/snapshot", timeout=30) as answer:
        containers: list[dict[str, Any]] = json.load(answer)["containers"]
    return next(int(container["memory_working_set_bytes"]) for container in containers if container["name"] == name)


def printed(name: str) -> float:
    """The memory of a container of some MiB as `docker stats` prints it, in bytes."""
    command = ["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", name]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    return float(said.split("MiB")[0]) * MEBIBYTE


def main(name: str, port: str) -> int:
    """Compare, with a snapshot before and one after each look of the command line."""
    wrong = 0
    for _ in range(TIMES):
        before, shown, after = snapshot(name, port), printed(name), snapshot(name, port)
        print(f"docker stats {shown / MEBIBYTE:.2f} MiB, sidecar {before} B before, {after} B after")
        least, most = sorted((before, after))
        wrong += not least - ROUNDED - SAMPLING <= shown <= most + ROUNDED + SAMPLING
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
