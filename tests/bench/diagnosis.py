"""How long `make diagnose` takes, on a stack that is well and on a broken one, beside the guide's list by hand."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.others import turn
from tests.bench.stack import PROJECT, container_id, docker
from tests.paths import ROOT

_TIMES = 3
_BROKEN_SECONDS = 15


def report() -> None:
    """Print one line each: seconds of the command, root cause, checks that could not be made."""
    _line("well", *_measured())
    with _dropped():
        time.sleep(_BROKEN_SECONDS)
        _line("the master's port filtered", *_measured())
    docker("kill", container_id("locust-master"))
    _line("the master killed", *_measured())
    print(
        f"  the guide's list by hand    {turn(_by_hand(), _TIMES).wall:6.1f} s   no cause: a person reads it",
        flush=True,
    )


def _measured() -> tuple[float, str, int]:
    seconds, found = [], {}
    for _ in range(_TIMES):
        began = time.perf_counter()
        done = subprocess.run(
            ["scripts/kit", "diagnose", f"PROJECT={PROJECT}", "--json"], cwd=ROOT, capture_output=True, check=False
        )
        seconds.append(time.perf_counter() - began)
        found = json.loads(done.stdout)
    return statistics.median(seconds), found["summary"]["root_cause"] or "no cause", found["summary"]["unknown"]


def _line(what: str, seconds: float, cause: str, unknown: int) -> None:
    print(f"  {what:<27} {seconds:6.1f} s   {cause}, {unknown} unknown", flush=True)


@contextmanager
def _dropped() -> Iterator[None]:
    found = json.loads(docker("inspect", container_id("locust-master")))[0]["NetworkSettings"]["Networks"]
    address = next(iter(found.values()))["IPAddress"]
    rule = ["DOCKER-USER", "-d", address, "-p", "tcp", "--dport", "5557", "-j", "DROP"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *rule], check=True)


def _by_hand() -> list[list[str]]:
    """The guide's quick list, for one worker: services, ports, logs, resources, network, name, route, firewall."""
    worker = docker("ps", "-q", "--filter", f"name={PROJECT}-locust-worker-1$").split()[0]
    look_up = "import socket; print(socket.getaddrinfo('locust-master', 5557)[0][4])"
    return [
        ["docker", "compose", "-p", PROJECT, "ps"],
        ["ss", "-ltn"],
        ["docker", "compose", "-p", PROJECT, "logs", "--tail=50"],
        ["docker", "stats", "--no-stream"],
        ["docker", "network", "inspect", f"{PROJECT}_default"],
        ["docker", "exec", worker, "sh", "-c", f'python3 -c "{look_up}" || true'],
        ["docker", "exec", worker, "cat", "/proc/net/route"],
        ["iptables", "-L", "-n", "-v"],
    ]
