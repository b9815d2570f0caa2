"""Docker's daemon goes away in the middle of a storm and comes back, on an engine of the test's own.

The engine runs in a privileged container: the machine's own daemon is nobody's to stop. Inside it the daemon is stopped
once as an administrator would, which ends every container, and once by SIGKILL, which they live through until it is
started again.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.stacks import docker, until
from tests.paths import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="making a Debian and a privileged container needs root"),
]

MACHINE, PROJECT, PORT = "kit-test-daemon", "locust", 8090
IMAGES = ("locust-kit/locust:local", "locust-kit/docker-proxy:local", "locust-kit/monitor:local")
SERVICES = "locust-master locust-worker monitor docker-proxy"
# Where the packaged daemon was started without an init system, nobody else looks after it.
START = "setsid nohup dockerd >>/var/log/dockerd.log 2>&1 </dev/null & "
BACK = "for i in $(seq 120); do docker version >/dev/null 2>&1 && break; sleep 0.5; done; docker version >/dev/null"
# A daemon that is gone stays a zombie there: nobody reaps it.
GONE = "while pgrep -x -r R,S,D dockerd >/dev/null; do sleep 0.2; done"
PID = "/var/run/docker.pid"


@dataclass(frozen=True)
class Machine:
    """A machine with an engine of its own, in a container."""

    name: str

    def run(self, command: str, *, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """A command in its clone of this checkout."""
        full = ["docker", "exec", "--workdir", "/root/kit", self.name, "bash", "-c", command]
        return subprocess.run(full, capture_output=True, text=True, timeout=timeout, check=False)

    def must(self, command: str) -> str:
        """The output of a command that must succeed."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def incidents(self) -> dict[str, Any] | None:
        """The document of the sidecar in it; None while it does not answer."""
        done = self.run(f"curl -sf --max-time 10 'http://127.0.0.1:{PORT}/api/incidents?limit=5000'")
        document: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 and done.stdout else None
        return document

    def storm(self, in_the_middle: str = "true") -> subprocess.CompletedProcess[str]:
        """A short storm; the command runs between its first wave and its second.

        However many are killed while the daemon, and with it the sidecar, is down: they must be told, not placed.
        """
        command = f"python3 -B -m tests.integration.storm short --project {PROJECT} --port {PORT} --unplaced 100"
        return self.run(f"{command} --first '{in_the_middle}'")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """The machine, with a stack of this checkout's images and compose file."""
    made = Machine(MACHINE)
    docker("rm", "--force", "--volumes", MACHINE, check=False)
    try:
        subprocess.run([ROOT / "tests/integration/bare-machine", MACHINE], check=True, timeout=600)
        made.must("scripts/setup </dev/null")
        carry(made)
        yield made
    finally:
        docker("rm", "--force", "--volumes", MACHINE, check=False)


def carry(machine: Machine) -> None:
    """Bring images and files of this checkout as they are now, committed or not, and start the stack."""
    load = ["docker", "exec", "--interactive", machine.name, "docker", "load"]
    with subprocess.Popen(["docker", "save", *IMAGES], stdout=subprocess.PIPE) as save:
        subprocess.run(load, stdin=save.stdout, check=True, timeout=600, stdout=subprocess.DEVNULL)
    assert save.returncode == 0
    for path in ("docker-compose.yml", "tests/paths.py", "tests/ports.py", "tests/integration"):
        machine.must(f"rm -rf {path}")
        docker("cp", str(ROOT / path), f"{machine.name}:/root/kit/{path}")
    machine.must(f"docker compose up --detach --no-build {SERVICES}")
    until(machine.incidents, 120, "the sidecar's account")


def by_id(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The incidents of a document."""
    return {incident["id"]: incident for incident in document["incidents"]}


def test_a_storm_around_a_daemon_that_is_stopped_is_counted_and_the_gap_is_said(machine: Machine) -> None:
    before = until(machine.incidents, 120, "the sidecar's account")
    assert before is not None
    done = machine.storm(f"kill $(cat {PID}); {GONE}; sleep 2; {START} {BACK}")
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    after = until(machine.incidents, 120, "the sidecar to be back")
    assert after is not None
    lost = set(by_id(before)) - set(by_id(after))
    assert not lost, f"the ledger lost {len(lost)} incidents"
    new = [one for key, one in by_id(after).items() if key not in by_id(before)]
    gaps = [one for one in new if one["kind"] == "blind" and one["until"]]
    assert gaps, "nobody said that there was a gap"


def test_the_ledger_is_whole(machine: Machine) -> None:
    check = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone())"
    for file in ("ledger.db", "history.db"):
        path = f"/var/lib/locust-kit/ledger/{file}"
        assert machine.must(f'docker exec {PROJECT}-monitor-1 python3 -c "{check}" {path}').strip() == "ok", file


def test_the_stack_stands_again(machine: Machine) -> None:
    def running() -> bool:
        return len(machine.must(f"docker compose -p {PROJECT} ps --status running -q").split()) >= len(SERVICES.split())

    until(running, 120, "every service to run again")
