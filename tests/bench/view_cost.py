"""What one refresh of the live view costs, beside one turn of the loop in the seed's monitor.sh.

Both watch the same stack of four workers, in one run. Ours: the CPU time of the sidecar's and the proxy's containers
and of the view's process over a span, divided by the refreshes in it; the wall time of a round of the sidecar plus
that of fetching and drawing it. The seed's: CPU time of the three commands of a turn, and how long they take. What the
daemon spends is stated for both, and counted for neither.
"""

from __future__ import annotations

import json
import os
import pty
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from sidecar.cli.feed import Feed, utc_now
from sidecar.serve.reader import SidecarReader
from sidecar.views.frame import frame
from sidecar.views.plain import plain

ROOT = Path(__file__).parents[2]
PROJECT, WEB_PORT, MONITOR_PORT = "kit-bench", 18189, 18190
WORKERS, INTERVAL_SECONDS, REFRESHES, TURNS = 4, 2, 20, 10
KNOBS = [f"PROJECT={PROJECT}", f"WEB_PORT={WEB_PORT}", f"MONITOR_PORT={MONITOR_PORT}", f"INTERVAL={INTERVAL_SECONDS}"]
SEED = [
    ["docker", "compose", "-p", PROJECT, "ps"],
    ["docker", "stats", "--no-stream", "--format", "table {{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.NetIO}}"],
    ["docker", "compose", "-p", PROJECT, "logs", "--tail=5", "locust-master"],
]


@dataclass(frozen=True)
class Cost:
    """Of one refresh or turn: medians over the repetitions. Seconds throughout."""

    cpu: float
    wall: float
    daemon_cpu: float


def kit(verb: str, *arguments: str) -> None:
    """Run a verb of the host command line, quietly."""
    subprocess.run(["scripts/kit", verb, *KNOBS, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def daemon_cpu() -> float:
    """CPU seconds that dockerd and containerd have spent so far, their shims included."""
    names = {"dockerd", "containerd", "containerd-shim-runc-v2"}
    spent = (process.cpu_times() for process in psutil.process_iter(["name"]) if process.info["name"] in names)
    return sum(times.user + times.system for times in spent)


def container_cpu(service: str) -> float:
    """CPU seconds that a service's container has spent so far, from its cgroup by way of the engine."""
    out = subprocess.run(
        [
            "docker",
            "ps",
            "-q",
            "--filter",
            f"label=com.docker.compose.project={PROJECT}",
            "--filter",
            f"label=com.docker.compose.service={service}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    address = f"http://docker/containers/{out[0]}/stats?stream=false&one-shot=true"
    raw = subprocess.run(
        ["curl", "-s", "--unix-socket", "/var/run/docker.sock", address], capture_output=True, check=True
    ).stdout
    return float(json.loads(raw)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def ours() -> Cost:
    """The live view on a terminal of its own, for REFRESHES refreshes."""
    main, terminal = pty.openpty()
    view = subprocess.Popen(
        ["scripts/kit", "monitor", *KNOBS],
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    threading.Thread(target=drain, args=(main,), daemon=True).start()
    try:
        time.sleep(3 * INTERVAL_SECONDS)  # the start-up is no refresh
        spent: list[Callable[[], float]] = [
            lambda: container_cpu("monitor"),
            lambda: container_cpu("docker-proxy"),
            lambda: sum(psutil.Process(view.pid).cpu_times()[:2]),
        ]
        before, daemon = [read() for read in spent], daemon_cpu()
        time.sleep(REFRESHES * INTERVAL_SECONDS)
        daemon = daemon_cpu() - daemon
        after = [read() for read in spent]
    finally:
        os.write(main, b"q")
        view.wait(timeout=10)
    parts = [(b - a) / REFRESHES for a, b in zip(before, after, strict=True)]
    print("  of it: sidecar {:.1f} ms, proxy {:.1f} ms, view {:.1f} ms".format(*(1000 * part for part in parts)))
    return Cost(sum(parts), statistics.median(refresh_walls()), daemon / REFRESHES)


def drain(terminal: int) -> None:
    """Read what the view draws, as a terminal does."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        return


def refresh_walls() -> list[float]:
    """Wall seconds of a round of the sidecar and of fetching and drawing it, several times."""
    feed = Feed(reader := SidecarReader(MONITOR_PORT), reader.snapshot(), 5)
    walls = []
    for _ in range(TURNS):
        time.sleep(INTERVAL_SECONDS)
        began = time.perf_counter()
        feed.refresh()
        plain(frame(feed.scene(utc_now()), width=120, height=None).lines)
        walls.append(time.perf_counter() - began + (feed.snapshot.round_seconds or 0.0))
    return walls


def seed() -> Cost:
    """The three commands of the seed's loop, TURNS times."""
    costs = []
    for _ in range(TURNS):
        daemon, began, before = daemon_cpu(), time.perf_counter(), children_cpu()
        for command in SEED:
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        costs.append(Cost(children_cpu() - before, time.perf_counter() - began, daemon_cpu() - daemon))
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.daemon_cpu for cost in costs),
    )


def children_cpu() -> float:
    """CPU seconds of the commands that this process started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Bring a stack up, measure both, print the table, take the stack down."""
    kit("up", f"WORKERS={WORKERS}", "MOCK=1")
    try:
        print(f"{WORKERS} workers, {REFRESHES} refreshes of ours, {TURNS} turns of the seed's loop", flush=True)
        new, old = ours(), seed()
    finally:
        kit("down")
    print(f"{'':24}{'CPU':>10}{'wall':>10}{'daemon CPU':>13}")
    for name, cost in (("one refresh of the view", new), ("one turn of the seed's", old)):
        print(f"{name:24}{cost.cpu * 1000:7.1f} ms{cost.wall * 1000:7.0f} ms{cost.daemon_cpu * 1000:10.1f} ms")
    print(f"{'ratio':24}{old.cpu / new.cpu:8.1f} ×{old.wall / new.wall:8.1f} ×")
    return 0


if __name__ == "__main__":
    sys.exit(main())
