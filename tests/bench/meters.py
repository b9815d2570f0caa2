"""Processor time and memory of what is measured: containers, processes with their children, the daemon."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil

from sidecar.engine.raw_statistics import UnixGet
from tests.bench.stack import container_id

SOCKET = "/var/run/docker.sock"
DAEMON = frozenset({"dockerd", "containerd"})

Spent = Callable[[], float]


def container_cpu(service: str) -> Spent:
    """CPU seconds that a service's container has spent so far, health probes included: its cgroup's own count."""
    link, found = UnixGet(SOCKET, 30.0), container_id(service)

    def read() -> float:
        _, body = link.get(f"/containers/{found}/stats?stream=false&one-shot=true")
        return float(json.loads(body)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    return read


def container_memory(service: str) -> int:
    """Bytes that the processes of a service's container hold, without the page cache."""
    _, body = UnixGet(SOCKET, 30.0).get(f"/containers/{container_id(service)}/stats?stream=false&one-shot=true")
    stats = json.loads(body)["memory_stats"]["stats"]
    return int(stats["total_rss"] if "total_rss" in stats else stats["anon"])


def daemon_cpu() -> float:
    """CPU seconds that dockerd and containerd have spent so far. No shims: those that end would count backwards."""
    spent = 0.0
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in DAEMON:
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def process_cpu(pid: int) -> Spent:
    """CPU seconds of a process and of its descendants, those that it has waited for included."""

    def read() -> float:
        root = psutil.Process(pid)
        spent = 0.0
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                spent += sum(process.cpu_times()[:4])
        return spent

    return read


def shares(spent: Mapping[str, Spent], seconds: float, windows: int) -> dict[str, float]:
    """Return the median share of one core, in per cent, that each has used over several windows side by side."""
    found: dict[str, list[float]] = {name: [] for name in spent}
    for _ in range(windows):
        began, before = time.monotonic(), {name: read() for name, read in spent.items()}
        time.sleep(seconds)
        lasted = time.monotonic() - began
        for name, read in spent.items():
            found[name].append(100 * (read() - before[name]) / lasted)
    return {name: statistics.median(values) for name, values in found.items()}
