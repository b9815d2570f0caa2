"""A stack that is well has no finding: idle, under load, while it starts or scales, beside what is not its own."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.faults.world import LABEL, WORKERS, World
from tests.integration.stacks import docker, until
from tests.paths import ROOT


@pytest.fixture
def stack(world: World) -> World:
    world.reset_files()
    world.well()
    return world


def assert_well(diagnosis: dict[str, Any]) -> None:
    assert [(finding["slug"], finding["affects"], finding["evidence"]) for finding in diagnosis["findings"]] == []
    assert diagnosis["summary"]["root_cause"] is None
    assert diagnosis["exit"] == 0
    assert (diagnosis["summary"]["warn"], diagnosis["summary"]["error"]) == (0, 0)
    assert diagnosis["summary"]["ok"] > 20


def test_idle(stack: World) -> None:
    diagnosis = stack.diagnose()
    assert_well(diagnosis)
    assert (diagnosis["workers"], diagnosis["connected"]) == (WORKERS, WORKERS)


def test_it_changes_nothing_and_leaves_nothing(stack: World) -> None:
    ids = stack.containers()
    log = docker("logs", stack.master)
    stack.diagnose()
    assert stack.containers() == ids
    assert docker("ps", "-aq", "--filter", "label=io.locust-kit.role=probe") == ""
    new = docker("logs", stack.master).removeprefix(log)
    assert "Invalid HTTP method" not in new
    assert "Discarded" not in new


def test_beside_an_exited_container_of_another_project(stack: World) -> None:
    labels = (
        "--label",
        LABEL,
        "--label",
        "com.docker.compose.project=shop",
        "--label",
        "com.docker.compose.service=db",
    )
    died = docker("run", "-d", *labels, "--entrypoint", "sh", "locust-kit/locust:local", "-c", "kill -9 $$")
    try:
        assert_well(stack.diagnose())
    finally:
        docker("rm", "-f", died)


def test_under_load(stack: World) -> None:
    run = stack.start_run("USERS=60", "SPAWN_RATE=60", "RUN_TIME=60s")
    try:
        for _ in range(3):
            assert_well(stack.diagnose())
    finally:
        run.terminate()
        run.communicate(timeout=240)


@pytest.mark.parametrize("workers", [WORKERS + 3, WORKERS])
def test_while_scaling(stack: World, workers: int) -> None:
    if workers == WORKERS:
        assert stack.kit("scale", f"WORKERS={WORKERS + 3}").returncode == 0
    scaling = subprocess.Popen(
        stack.command("scale", f"WORKERS={workers}"),
        cwd=ROOT,
        env=stack.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    looks = 0
    while scaling.poll() is None or not looks:
        assert_well(stack.diagnose())
        looks += 1
    said, _ = scaling.communicate(timeout=240)
    assert scaling.returncode == 0, said
    assert_well(stack.diagnose())


def test_just_started(stack: World) -> None:
    stack.kit("down")
    stack.compose("services: {}\n")
    assert_well(stack.diagnose())
    until(stack.is_connected, 60, "the workers to be connected")
    assert_well(stack.diagnose())
