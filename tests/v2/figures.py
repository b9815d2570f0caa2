"""The sidecar's figures of one container beside what `docker stats` prints: `figures.py CONTAINER PORT`.

Standard library only. Exit status: 0 when the memory was the same five times, 1 when not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TIMES = 5


def snapshot(name: str, port: str) -> dict[str, Any]:
    """The container in the newest snapshot."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/snapshot", timeout=30) as answer:
        found: dict[str, Any] = next(one for one in json.load(answer)["containers"] if one["name"] == name)
    return found


def printed(name: str) -> str:
    """The memory of the container as `docker stats` prints it, such as 15.01MiB."""
    command = ["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", name]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split(" /")[0]


def in_words(size: int) -> str:
    """A size as the docker command line writes it: four digits, binary units."""
    unit = next((unit for unit in reversed(UNITS) if size >= UNITS[unit]), "KiB")
    return f"{size / UNITS[unit]:.4g}{unit}"


def main(name: str, port: str) -> int:
    """Compare, with a snapshot before and one after each look of the command line."""
    wrong = 0
    for _ in range(TIMES):
        before, shown, after = snapshot(name, port), printed(name), snapshot(name, port)
        ours = [in_words(one["memory_working_set_bytes"]) for one in (before, after)]
        print(f"docker stats {shown}, sidecar before {ours[0]}, after {ours[1]}")
        wrong += shown not in ours
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
