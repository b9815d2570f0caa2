"""Each thing that makes a run INVALID, inflicted on a real run; started as the web page does, and by `kit run`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.stacks import Stack, docker, until
from tests.integration.verdicts import Judged

pytestmark = [pytest.mark.kills, pytest.mark.long]

SECONDS = 24


@dataclass(frozen=True)
class Harm:
    """What is done to a run, when, and what the first reason is then.

    `before` prepares the stack, `during` strikes some seconds into the run, `mend` makes it whole again.
    """

    kind: str
    before: Callable[[Judged], None] = lambda _: None
    during: Callable[[Judged], None] | None = None
    mend: Callable[[Judged], None] = Judged.be
    start: dict[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    ways: tuple[str, ...] = ("web", "run")


def worker(judged: Judged, which: int = 0) -> str:
    return judged.stack.containers("locust-worker")[which]


def eats(judged: Judged) -> None:
    docker("exec", worker(judged), "python3", "-c", "b'x' * (900 << 20)", check=False)


def kill_worker(judged: Judged) -> None:
    docker("kill", worker(judged))


def crash_worker(judged: Judged) -> None:
    docker("exec", worker(judged), "sh", "-c", "kill -9 -1", check=False)


def restart_master(judged: Judged) -> None:
    docker("restart", "-t", "5", *judged.stack.containers("locust-master"))


def kill_sidecar(judged: Judged) -> None:
    docker("kill", *judged.stack.containers("monitor"))


def alone_and_busy(judged: Judged) -> None:
    """One worker: two of them share two cores with all else that runs here."""
    judged.stack.up("WORKERS=1")
    judged.be(busy_seconds=0.5)


def is_paused(judged: Judged) -> None:
    docker("pause", worker(judged))


def whole(judged: Judged) -> None:
    judged.be()
    for container in judged.stack.containers("locust-worker"):
        docker("unpause", container, check=False)
    judged.stack.up("WORKERS=2")
    until(lambda: judged.stack.worker_count() == 2, 60, "both workers")
    until(lambda: not judged.is_waiting_for_lost_workers(), 90, "the master to give up on those who are gone")


def disconnect(judged: Judged) -> None:
    docker("network", "disconnect", f"{judged.stack.project}_default", worker(judged))
    until(lambda: judged.stack.worker_count() == 1, 60, "the master to give it up")


def reconnect(judged: Judged) -> None:
    docker("rm", "-f", worker(judged))
    whole(judged)


def squeeze(judged: Judged) -> None:
    for container in judged.stack.containers("locust-worker"):
        docker("update", "--cpus", "0.15", container)
    judged.be(busy_seconds=0.05)


def loosen(judged: Judged) -> None:
    judged.be()
    for container in judged.stack.containers("locust-worker"):
        docker("rm", "-f", container)
    whole(judged)


HARMS = {
    "an OOM kill in a worker": Harm("oom_kill", during=eats),
    "a worker killed": Harm("worker_lost", during=kill_worker, mend=whole),
    "a worker restarted": Harm("restart", during=crash_worker, mend=whole),
    "a worker that hangs": Harm("worker_lost", during=is_paused, mend=whole),
    "the master restarted": Harm(
        "master_restart",
        during=restart_master,
        mend=whole,
    ),
    "a worker busy with itself": Harm("generator_cpu", before=alone_and_busy, mend=whole),
    "workers throttled": Harm("throttled", before=squeeze, mend=loosen),
    "no descriptor left": Harm("generator_limits", before=lambda judged: judged.be(sockets=1010), mend=loosen),
    "users who never came": Harm("users_short", start={"users": 80, "rate": 1}),
    "a worker that never came": Harm("workers_missing", before=disconnect, mend=reconnect),
    "a sidecar that was killed": Harm("blind", during=kill_sidecar, mend=whole),
    "a run stopped by somebody": Harm("ended_early", during=Judged.stop_by_web),
    "not one request": Harm("no_requests", before=lambda judged: judged.be(raises=True)),
    "too few for a percentile": Harm("few_samples", words=("THRESHOLDS=p99.99<10s",), ways=("run",)),
}
CASES = [(name, way) for name, harm in HARMS.items() for way in harm.ways]


@pytest.fixture(scope="module")
def judged(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    made = Judged(stack, tmp_path_factory.mktemp("locustfiles"))
    stack.up("WORKERS=2")
    return made


@pytest.mark.parametrize(("name", "way"), CASES)
def test_what_breaks_a_run_makes_it_invalid_with_that_reason_first(judged: Judged, name: str, way: str) -> None:
    harm = HARMS[name]
    harm.before(judged)
    try:
        report = by_web(judged, harm) if way == "web" else by_run(judged, harm)
    finally:
        harm.mend(judged)
    assert report["verdict"] == "INVALID"
    assert report["judged"]["reasons"][0]["kind"] == harm.kind, json.dumps(report["judged"]["reasons"], indent=1)


def by_web(judged: Judged, harm: Harm) -> Any:
    run_id = judged.start_by_web(**{"seconds": SECONDS, **harm.start})
    if harm.during:
        time.sleep(8)
        harm.during(judged)
    with suppress(OSError):
        return judged.stack.ended(run_id)
    time.sleep(SECONDS)
    return judged.told()[1]  # without a sidecar


def by_run(judged: Judged, harm: Harm) -> Any:
    strike = threading.Timer(9, lambda: harm.during and harm.during(judged))
    strike.start()
    given = [
        f"{name}={value}"
        for name, value in (("USERS", harm.start.get("users", 6)), ("SPAWN_RATE", harm.start.get("rate", 6)))
    ]
    code, report = judged.run(*given, f"RUN_TIME={SECONDS}s", *harm.words)
    strike.join()
    assert code == 4, report["reasons"]
    return report


def test_twenty_short_clean_runs_are_twenty_passes(judged: Judged) -> None:
    whole(judged)
    found = [judged.run("RUN_TIME=8s") for _ in range(20)]
    assert [(code, report["verdict"]) for code, report in found] == [(0, "PASS")] * 20, [
        report["reasons"] for _, report in found
    ]
