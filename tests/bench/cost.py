"""What watching costs: the sidecar beside the seed's loop, `docker stats` and glances, on one stack, in one run.

CPU of ours is the whole cgroup of the sidecar and of the proxy over windows of a minute, and the live view's process on
a real terminal; a refresh is one round of the sidecar, counted in its own history. The daemon's share (dockerd and
containerd) is told beside: what it spends while somebody watches, against what it spends while nobody does, in turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.bench.meters import container_cpu, container_memory, daemon_cpu, process_cpu, shares
from tests.bench.others import SEED, Cost, glances, on_terminal, turn
from tests.bench.stack import MONITOR_PORT, SETTINGS, container_id, docker

WINDOW_SECONDS, WINDOWS = 20.0, 3
PAIR_SECONDS, PAIRS = 15.0, 4
TURNS = 5
SETTLE_SECONDS = 8.0


def report() -> None:
    """Measure on the stack that is up, and print."""
    refresh = ours()
    with_us, without = in_turns()
    print(f"daemon while nobody watches {without:5.1f} %, while the sidecar does {with_us:5.1f} % of a core")
    seed = turn(SEED, TURNS)
    show("one turn of the seed's loop", seed)
    print(f"CPU of a refresh: {seed.cpu / refresh:.1f} times less than the seed's")
    live("docker stats", ["docker", "stats"], without)
    live("glances", glances(), without)


def ours() -> float:
    """Print what the sidecar, the proxy and the view use; return the CPU seconds of one refresh of all three."""
    with on_terminal(["scripts/kit", "monitor", *SETTINGS]) as pid:
        time.sleep(SETTLE_SECONDS)
        spent = {"sidecar": container_cpu("monitor"), "proxy": container_cpu("docker-proxy"), "view": process_cpu(pid)}
        began = datetime.now(UTC)
        found = shares(spent, WINDOW_SECONDS, WINDOWS)
        made = rounds(began, datetime.now(UTC))
    seconds = WINDOW_SECONDS * WINDOWS
    for name, share in found.items():
        print(f"{name:10}{share:6.2f} % of a core {share / 100 * seconds / made * 1000:7.1f} ms a refresh")
    print(
        f"{made} refreshes in {seconds:.0f} s; the sidecar holds {container_memory('monitor') / 1e6:.0f} MB", flush=True
    )
    return sum(found.values()) / 100 * seconds / made


def rounds(since: datetime, until: datetime) -> int:
    """How many rounds the sidecar made, from its history."""
    # Steps of a quarter of a second: no two rounds fall into one.
    points = round((until - since).total_seconds() * 4)
    query = urllib.parse.urlencode({"since": since.isoformat(), "until": until.isoformat(), "points": points})
    time.sleep(2)  # the last ones are being written
    with urllib.request.urlopen(f"http://127.0.0.1:{MONITOR_PORT}/api/history?{query}", timeout=30) as answer:
        return len(json.load(answer)["at"])


def in_turns() -> tuple[float, float]:
    """Return the daemon's share with the sidecar watching and with it frozen, in turns, so that both see one load."""
    watching, frozen = [], []
    for _ in range(PAIRS):
        watching.append(daemon_share())
        docker("pause", container_id("monitor"))
        try:
            frozen.append(daemon_share())
        finally:
            docker("unpause", container_id("monitor"))
        time.sleep(SETTLE_SECONDS)
    return statistics.median(watching), statistics.median(frozen)


def daemon_share() -> float:
    """Per cent of a core that the daemon uses over one window."""
    return shares({"daemon": daemon_cpu}, PAIR_SECONDS, 1)["daemon"]


def live(name: str, command: Sequence[str], without: float) -> None:
    """Print what another live view uses, with the sidecar frozen meanwhile."""
    docker("pause", container_id("monitor"))
    try:
        with on_terminal(command) as pid:
            time.sleep(SETTLE_SECONDS)
            found = shares({"view": process_cpu(pid), "daemon": daemon_cpu}, WINDOW_SECONDS, WINDOWS)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"{name}: not measured: {error}")
        return
    finally:
        docker("unpause", container_id("monitor"))
    daemon = found["daemon"]
    print(f"{name:14}{found['view']:6.1f} % of a core; daemon {daemon:5.1f} %, {daemon - without:+.1f}", flush=True)


def show(name: str, cost: Cost) -> None:
    """One line of figures."""
    figures = f"{cost.cpu * 1000:7.0f} ms CPU {cost.wall * 1000:7.0f} ms wall {cost.daemon_cpu * 1000:7.0f} ms daemon"
    print(f"{name:30}{figures}", flush=True)
