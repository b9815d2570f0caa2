"""From an event's own time stamp to its committed row in the ledger: p50, p99 and the longest, in milliseconds.

While the stack's workers are watched, processes are OOM-killed one at a time in a container beside them; then comes the
short storm. The rows are seen from outside, by a second reader of the ledger's file in a container of its own that
looks each two milliseconds: what it says is late by up to that, never early.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.stack import MONITOR_PORT, PROJECT
from tests.integration.stacks import docker, until
from tests.integration.storm.account import account
from tests.integration.storm.battle import SHORT, Battle
from tests.integration.storm.victims import IMAGE, Shape, Ward, eater

KILLS, KILL_GAP = 120, "0.7"
SINGLE = Shape("single", eater("parent", str(KILLS), KILL_GAP))
# Prints a row once it is there for another connection to read, with the time at which it was.
WATCHER = """
import json, sqlite3, time
ledger = sqlite3.connect("file:/ledger/ledger.db?mode=ro", uri=True, isolation_level=None)
known, version = set(ledger.execute("SELECT container_id, ns, action FROM events")), 0
print("ready", flush=True)
while True:
    (now,) = ledger.execute("PRAGMA data_version").fetchone()
    if now != version:
        since = time.time_ns() - 60 * 10**9
        rows = set(ledger.execute("SELECT container_id, ns, action FROM events WHERE ns > ?", (since,)))
        seen, version = time.time_ns(), now
        for container_id, ns, action in rows - known:
            print(json.dumps([container_id, action, ns, seen]), flush=True)
        known |= rows
    time.sleep(0.002)
"""


@dataclass(frozen=True)
class Row:
    """One event: whose and what it was, and how long it took to be committed."""

    container_id: str
    action: str
    lag_ms: float


def watcher() -> subprocess.Popen[str]:
    """The reader of the ledger's file, once it reads."""
    options = ["--rm", "--network", "none", "--user", "0", "--label", "io.locust-kit.role=bench"]
    mount = ["--volume", f"{PROJECT}_ledger:/ledger", "--name", f"{PROJECT}-watcher"]
    command = ["docker", "run", *options, *mount, "--entrypoint", "python3", IMAGE, "-c", WATCHER]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n", "the ledger cannot be read"
    return started


def rows_of(printed: str) -> list[Row]:
    """What the watcher printed."""
    return [Row(one, action, (seen - ns) / 1e6) for one, action, ns, seen in map(json.loads, printed.splitlines())]


def show(name: str, rows: Sequence[Row]) -> None:
    """One line of figures."""
    if len(rows) < 2:
        print(f"{name:28}{len(rows):6}  too few")
        return
    lags = sorted(row.lag_ms for row in rows)
    p99 = statistics.quantiles(lags, n=100, method="inclusive")[98]
    print(f"{name:28}{len(lags):6}{statistics.median(lags):9.1f}{p99:9.1f}{lags[-1]:9.1f}")


def measure(ward: Ward) -> tuple[list[Row], list[Row]]:
    """The rows of the quiet part and those of the storm."""
    reader = watcher()
    try:
        quiet = Battle(ward)
        quiet.wave((SINGLE,))
        quiet.over()
        storm = Battle(ward)
        storm.fight(SHORT, (lambda: None, lambda: None))
        storm.judged(MONITOR_PORT)
    finally:
        docker("kill", f"{PROJECT}-watcher", check=False)
    printed, _ = reader.communicate(timeout=30)
    rows = rows_of(printed)
    return of(quiet, rows), of(storm, rows)


def of(battle: Battle, rows: Sequence[Row]) -> list[Row]:
    """The rows about these victims; the machine may have others."""
    ids = {victim.id for victim in battle.victims}
    return [row for row in rows if row.container_id in ids]


def report() -> None:
    """Measure on the stack that is up, and print."""
    until(lambda: account(MONITOR_PORT), 60, "the sidecar's account")
    ward = Ward(PROJECT)
    try:
        quiet, storm = measure(ward)
    finally:
        ward.remove()
    print(f"{'event lag, ms':28}{'rows':>6}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, rows in (("one kill at a time", quiet), ("storm", storm)):
        show(name, rows)
        show("  of these, oom", [row for row in rows if row.action == "oom"])
