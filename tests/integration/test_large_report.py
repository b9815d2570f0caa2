"""What a run says of larger ones is tried on a larger one; and a run with very many failures has a report soon."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.stacks import Stack, docker
from tests.integration.verdicts import Judged
from tests.paths import ROOT

pytestmark = pytest.mark.long

FAILURES = 200_000
SECONDS = 600


@pytest.fixture(scope="module")
def judged(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    made = Judged(stack, tmp_path_factory.mktemp("locustfiles"))
    stack.up("WORKERS=2")
    return made


def test_the_settings_that_a_small_run_advises_carry_a_larger_one(judged: Judged) -> None:
    judged.be(pay_ms=20)
    code, small = judged.run("USERS=40", "SPAWN_RATE=20", "RUN_TIME=60s")
    assert (code, small["verdict"]) == (0, "PASS"), small["reasons"]
    advice = judged.told("USERS=160")[1]["capacity"]["advice"][0]
    judged.stack.settings |= {"WORKER_MEMORY": f"{advice['worker_memory_mib']}M"}
    judged.stack.up(*advice["settings"].split())
    code, large = judged.run("USERS=160", "SPAWN_RATE=40", "RUN_TIME=60s")
    print(
        advice,
        [
            (generator["container"], generator["cpu_max_percent"], generator["memory_max_bytes"])
            for generator in large["generators"]
        ],
    )
    assert (code, large["verdict"]) == (0, "PASS"), large["reasons"]
    workers = [generator for generator in large["generators"] if generator["service"] == "locust-worker"]
    assert len(workers) == advice["workers"]
    for worker in workers:
        assert worker["cpu_mean_percent"] < 90
        assert worker["memory_max_bytes"] < worker["memory_limit_bytes"]


def test_an_endpoint_is_put_under_ever_more_users_in_a_stack_that_is_gone_afterwards(judged: Judged) -> None:
    done = judged.stack.kit(
        "capacity", "ENDPOINT=/slow?ms=20", "MOCK=1", "MOST_USERS=8", "STEP_SECONDS=12", "WORKERS=1", timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no knee up to 8 users: each step brought more" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("report: ") and "capacity-" in line]
    folder = Path(line.removeprefix("report: "))
    steps = json.loads((folder / "capacity.json").read_text())["steps"]
    assert [step["users"] for step in steps] == [1, 2, 4, 8]
    assert steps[-1]["rps"] > 5 * steps[0]["rps"]
    assert (folder / "capacity.png").read_bytes().startswith(b"\x89PNG")
    project = f"{judged.stack.project}-capacity"
    assert docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={project}") == ""
    assert docker("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={project}") == ""


def test_two_hundred_thousand_failures_are_reported_soon_and_small(judged: Judged) -> None:
    judged.be(cart="/status/503", pay_ms=20)
    judged.stack.up("WORKERS=2", "WORKER_MEMORY=512M")
    run_id = judged.start_by_web(users=120, rate=40, seconds=SECONDS)
    report = judged.stack.ended(run_id, SECONDS + 60)
    assert report["figures"]["failures"] >= FAILURES
    began = time.monotonic()
    process = subprocess.Popen(
        judged.stack.command("report", "RUN=last"), cwd=ROOT, env=judged.stack.environ(), stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    assert process.returncode == 0
    page = judged.stack.reports / run_id / "report.html"
    peaks = docker("exec", *judged.stack.containers("monitor"), "sh", "-c", "grep -h VmHWM /proc/[0-9]*/status")
    sidecar = max(int(line.split()[1]) for line in peaks.splitlines())
    print(f"{report['figures']['failures']} failures: report in {seconds:.1f} s, page of {page.stat().st_size} bytes")
    print(f"memory at most: the command {used.ru_maxrss} KiB, the sidecar {sidecar} KiB")
    assert page.stat().st_size <= 3 << 20
    assert max(used.ru_maxrss, sidecar) <= 300 << 10
