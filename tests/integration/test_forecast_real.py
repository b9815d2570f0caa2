"""Real leaks until the kernel ends them: the forecast of each round, read as the sidecar reads, against what came."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from sidecar.common.times import docker_time
from sidecar.engine.payload import inspected
from sidecar.engine.raw_statistics import UnixGet
from sidecar.engine.stats import counters, figures
from sidecar.incidents.forecast import Forecast
from tests.integration.stacks import docker

pytestmark = pytest.mark.kills

IMAGE = "locust-kit/monitor:local"
SOCKET = "/var/run/docker.sock"
ROUND_SECONDS = 2.0
MIB = 1 << 20
DYING_SECONDS = 0.5  # what is read this close to the end is a memory that is being taken down
LEAK = """
import sys, time
pace, kept, began = float(sys.argv[1]) * 2**20, [], time.monotonic()
chunk = min(2**20, int(pace / 10))
while True:
    while len(kept) * chunk < pace * (time.monotonic() - began):
        kept.append(b"x" * chunk)
    time.sleep(0.01)
"""
GARBAGE = """
import time
while True:
    kept = []
    for _ in range(12):
        kept.append(b"x" * (8 << 20))
        time.sleep(0.5)
    del kept
"""


@dataclass(frozen=True)
class Round:
    """One reading, and what was forecast of it."""

    at_seconds: float
    usage_bytes: int
    eta_seconds: float | None


@contextmanager
def container(limit_mib: int, program: str, *arguments: str) -> Iterator[str]:
    """A container of that limit that runs a Python program."""
    memory = ("--memory", f"{limit_mib}m", "--memory-swap", f"{limit_mib}m")
    marks = ("--label", "io.locust-kit.test=forecast", "--network", "none", "--entrypoint", "python3")
    started = docker("run", "--detach", *memory, *marks, IMAGE, "-c", program, *arguments)
    try:
        yield started
    finally:
        docker("rm", "--force", started, check=False)


def watch(container_id: str, limit_bytes: int, rounds: int | None = None) -> Iterator[Round]:
    """Read and forecast each two seconds, until the container is no more or so many rounds have passed."""
    connection = UnixGet(SOCKET, 10.0)
    status, body = connection.get(f"/containers/{container_id}/json")
    started = inspected(json.loads(body)).started_at
    forecast = Forecast(started.timestamp() if started else None)
    due = time.monotonic()
    for _ in itertools.count() if rounds is None else range(rounds):
        status, body = connection.get(f"/containers/{container_id}/stats?stream=false&one-shot=true")
        reading = counters(json.loads(body)) if status == 200 else None
        if reading is None:
            break
        seen = figures(None, reading)
        at = seen.sampled_at.timestamp()
        eta = forecast.add(at, seen.memory_working_set_bytes, seen.memory_usage_bytes, limit_bytes)
        yield Round(at, seen.memory_usage_bytes, eta)
        due += ROUND_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    connection.close()


def off(limit_mib: int, pace: int) -> list[tuple[float, float | None]]:
    """Leak to the end; return the rounds (true seconds left, forecast) whose forecast was silent or too far off."""
    with container(limit_mib, LEAK, str(pace)) as leaking:
        seen = list(watch(leaking, limit_mib * MIB))
        state = json.loads(docker("inspect", leaking))[0]["State"]
    assert state["OOMKilled"], f"the leak of {pace} MB/s ended otherwise: {state}"
    ended = docker_time(state["FinishedAt"])
    assert ended is not None
    judged = [
        (ended.timestamp() - one.at_seconds, one.eta_seconds) for one in seen if one.usage_bytes >= limit_mib * MIB / 2
    ]
    print(f"{limit_mib} MiB, {pace} MB/s:", *(f"{left:.1f}s→{eta and round(eta, 1)}" for left, eta in judged))
    assert len(judged) > 2, f"only {len(judged)} rounds from half of the limit on"
    return [
        (left, eta)
        for left, eta in judged
        if left > DYING_SECONDS and (eta is None or abs(eta - left) > max(0.25 * left, 0.5))
    ]


def all_off(*leaks: tuple[int, int]) -> dict[tuple[int, int], list[tuple[float, float | None]]]:
    """Several leaks side by side."""
    with ThreadPoolExecutor(len(leaks)) as pool:
        return dict(zip(leaks, pool.map(lambda leak: off(*leak), leaks), strict=True))


def garbage_forecasts() -> list[float | None]:
    """What is forecast, round by round, of memory that is given back again and again."""
    with container(256, GARBAGE) as collecting:
        return [one.eta_seconds for one in watch(collecting, 256 * MIB, rounds=20)]


@pytest.mark.long
def test_fast_leaks_are_forecast_within_a_quarter_and_garbage_collection_is_not() -> None:
    with ThreadPoolExecutor(1) as beside:  # side by side: the slower leak needs most of a minute
        garbage = beside.submit(garbage_forecasts)
        found = all_off((256, 20), (256, 5))
    assert not any(found.values()), found
    assert garbage.result() == [None] * 20


@pytest.mark.long
def test_leaks_of_each_pace_and_limit_are_forecast_within_a_quarter() -> None:
    found = all_off((256, 1), (256, 5), (512, 1), (512, 5), (512, 20))
    assert not any(found.values()), found
