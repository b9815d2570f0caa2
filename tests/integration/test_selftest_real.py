"""The self-test on a real stack: it passes only if the sidecar saw every kill, and leaves nothing behind."""

import pytest

from tests.integration.stacks import Stack, docker, get_json, until
from tests.integration.storm.account import account

pytestmark = pytest.mark.kills

LEFT = ("ps", "-aq", "--filter", "label=io.locust-kit.role=selftest")


@pytest.fixture(scope="module")
def standing(stack: Stack) -> Stack:
    """A stack whose sidecar answers."""
    stack.up("WORKERS=1", "MOCK=1")
    until(lambda: account(stack.monitor_port), 60, "the sidecar's account")
    return stack


def test_it_passes_beside_a_run_and_leaves_neither_container_nor_incident(standing: Stack) -> None:
    run = standing.start_run("USERS=4", "SPAWN_RATE=4", "RUN_TIME=40s")
    try:
        done = standing.kit("selftest")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "passed" in done.stdout
        output, _ = run.communicate(timeout=480)
    finally:
        run.kill()
    assert run.returncode == 0, output
    assert docker(*LEFT) == ""
    said = account(standing.monitor_port)
    assert said is not None
    assert said.of_kind("oom_kill") == ()
    everything = get_json(f"http://127.0.0.1:{standing.monitor_port}/api/incidents?helpers=1&kind=oom_kill&limit=500")
    assert everything["incidents"]


def test_it_does_not_pass_when_the_sidecar_hears_of_nothing(standing: Stack) -> None:
    (proxy,) = standing.containers("docker-proxy")
    (monitor,) = standing.containers("monitor")
    docker("stop", "--time", "1", proxy, monitor)
    try:
        done = standing.kit("selftest")
        assert done.returncode in {1, 2, 3}, done.stdout + done.stderr
        assert "passed" not in done.stdout
        assert docker(*LEFT) == ""
    finally:
        docker("start", proxy, monitor)
