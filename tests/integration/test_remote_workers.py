"""Workers of another machine: a second project on this engine, which joins by an address of this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from sidecar.stack.remote import EVERYONE
from tests.integration.conftest import PREFIX
from tests.integration.stacks import Stack, docker, log_of, remove, until

STRANGER = "192.0.2.77"  # documentation's: nobody has it


@pytest.fixture(scope="module")
def address() -> str:
    """This machine's address in Docker's default network: no packet to it leaves the machine."""
    found: str = json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]
    return found


@pytest.fixture(scope="module")
def far(stack: Stack) -> Iterator[Stack]:
    """The stack of the other machine; the target's network is where the mock target is."""
    project = f"{PREFIX}remote-workers-far"
    remove(project)
    yield Stack(project, stack.reports, settings={**stack.settings, "TARGET_NETWORK": f"{stack.project}_default"})
    remove(project)


@pytest.fixture(scope="module")
def opened(stack: Stack, far: Stack, address: str) -> Stack:
    """A stack with one worker of its own and two of the other machine."""
    refused = stack.kit("up", "WORKERS=1", f"REMOTE_WORKERS={address}")
    assert (refused.returncode, refused.stdout, stack.containers()) == (2, "", [])
    assert "REMOTE_ALLOW is empty" in refused.stderr
    assert "→ make up REMOTE_ALLOW=" in refused.stderr
    told = stack.up("WORKERS=1", f"REMOTE_WORKERS={address}", f"REMOTE_ALLOW={EVERYONE}").stdout
    assert f"make setup join MASTER={address} WORKERS=4" in told
    assert "no password and no encryption" in told
    joined = far.kit("join", f"MASTER={address}", "WORKERS=2")
    assert joined.returncode == 0, f"{joined.stdout}\n{joined.stderr}"
    assert "2 workers healthy" in joined.stdout
    return stack


@contextmanager
def moved(stack: Stack, container: str) -> Iterator[None]:
    """Give a container another address: somebody else takes the one that it had."""
    network = f"{stack.project}_default"

    def where() -> str:
        found: str = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"][network]["IPAddress"]
        return found

    before = where()
    docker("stop", container)
    image = ("--entrypoint", "sleep", "locust-kit/locust:local", "600")
    other = docker("run", "-d", "--init", "--network", network, *image)
    try:
        docker("start", container)
        assert where() != before
        until(
            lambda: stack.inspect("locust-master")[0]["State"]["Health"]["Status"] == "healthy", 60, "a healthy master"
        )
        yield
    finally:
        docker("rm", "-f", other)


def findings(stack: Stack) -> dict[str, dict[str, Any]]:
    done = stack.kit("diagnose", "--json")
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    return {finding["slug"]: finding for finding in json.loads(done.stdout)["findings"]}


def report_of(stack: Stack) -> dict[str, Any]:
    newest = max(stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    found: dict[str, Any] = json.loads(newest.read_text())
    return found


def test_they_are_registered_shown_as_remote_and_take_part_in_a_run(opened: Stack, far: Stack) -> None:
    assert opened.worker_count() == 3
    until(lambda: len((opened.snapshot()["locust"] or {"workers": ()})["workers"]) == 3, 20, "the sidecar to see three")
    locust = opened.snapshot()["locust"]
    assert (locust["workers_connected"], locust["workers_expected"]) == (3, 1)
    remote = [worker for worker in locust["workers"] if worker["remote"]]
    assert [worker["container"] for worker in remote] == [None, None]
    assert "workers 1/1 + 2 remote" in opened.kit("monitor", "ONCE=1").stdout
    assert {finding for stack in (opened, far) for finding in findings(stack)} == set()
    done = opened.kit("run", "USERS=9", "SPAWN_RATE=9", "RUN_TIME=6s")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert report_of(opened)["workers"]["at_start"] == 3


def test_one_that_is_killed_in_a_run_is_a_lost_worker_and_the_run_is_invalid(opened: Stack, far: Stack) -> None:
    run = opened.start_run("USERS=9", "SPAWN_RATE=9", "RUN_TIME=18s")
    try:
        until(lambda: opened.snapshot()["locust"]["users"] == 9, 20, "all users")
        docker("kill", far.containers("locust-worker")[0])
        out, _ = run.communicate(timeout=360)
    finally:
        run.kill()
    assert (run.returncode, out.splitlines()[-1]) == (4, "INVALID (exit 4)")
    assert "a remote worker was lost: the master no longer hears it, 3 users lost with worker " in out
    (lost,) = [incident for incident in opened.snapshot()["incidents"] if incident["kind"] == "worker_lost"]
    assert (lost["container"], lost["service"], lost["users_lost"]) == (None, "locust-worker", 3)
    assert report_of(opened)["judged"]["reasons"][0]["kind"] == "worker_lost"


def first_byte(link: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return link.recv(1)
    return b""


def test_a_list_that_does_not_hold_the_other_machine_keeps_it_out_until_it_does(
    opened: Stack, far: Stack, address: str
) -> None:
    far.kit("down")
    opened.up("WORKERS=1", f"REMOTE_WORKERS={address}", f"REMOTE_ALLOW={STRANGER}")
    refused = far.kit("join", f"MASTER={address}", "WORKERS=1")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert f"the master at {address} closed the connection at once: its REMOTE_ALLOW lacks" in line
    assert far.containers() == []
    for _ in range(20):
        socket.create_connection((address, 5557), 5).close()
    (gate,) = opened.containers("gate")
    assert log_of(gate).count("refused ") == 1, "one line a minute for an address"
    found = findings(opened)["remote-worker-refused"]
    (seen,) = found["affects"]
    assert f"REMOTE_ALLOW={STRANGER},{seen}" in found["fix"]["commands"][0]
    opened.up(
        "WORKERS=1", f"REMOTE_WORKERS={address}", f"REMOTE_ALLOW={STRANGER},{seen}", "REMOTE_WORKERS_PER_ADDRESS=8"
    )
    let_in = far.kit("join", f"MASTER={address}", "WORKERS=1")
    assert let_in.returncode == 0, let_in.stderr
    until(lambda: opened.worker_count() == 2, 20, "the remote worker to be let in")
    with ExitStack() as links:
        held = [links.enter_context(socket.create_connection((address, 5557), 5)) for _ in range(9)]
        greeted = [first_byte(link) for link in held]
        assert (greeted[0], greeted[-1]) == (b"\xff", b""), "the worker and seven more are forwarded"
        assert opened.worker_count() == 2
        (crowded,) = findings(opened)["remote-worker-refused"]["affects"]
        assert crowded == seen


def test_a_master_made_anew_is_found_and_without_the_setting_the_port_is_closed(
    opened: Stack, far: Stack, address: str
) -> None:
    far.kit("down")
    (master,) = opened.containers("locust-master")
    with moved(opened, master):
        again = far.kit("join", f"MASTER={address}", "WORKERS=1")
        assert again.returncode == 0, f"{again.stdout}\n{again.stderr}"
    assert "has workers only" in far.kit("scale", "WORKERS=2").stderr
    opened.up("WORKERS=1")
    assert opened.containers("gate") == []
    closed = far.kit("join", f"MASTER={address}", "WORKERS=1")
    assert f"nothing listens at {address}, port 5557 → make up REMOTE_WORKERS={address}" in closed.stderr
    assert set(findings(far)) == {"remote-master-unreachable"}
