"""The stack under test, and the ways to break it: overrides of Compose, the engine, the firewall, signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidecar.common.times import docker_time
from sidecar.diagnose.stack import YOUNG
from sidecar.stack import workspace
from tests.integration.stacks import Stack, docker, get_json, remove, until
from tests.paths import ROOT

LABEL = "io.locust-kit.test=faults"
WORKERS = 2
CONNECT_SECONDS = 100.0
SHOWN_SECONDS = 120.0  # until a fault shows in what the engine, the master or a log says; a slow machine takes its time
_COMMAND_SECONDS = 180.0


def sweep(project: str) -> None:
    """Take away everything that a run of these tests can leave."""
    for kind, listing in (
        ("container", ["ps", "-aq"]),
        ("network", ["network", "ls", "-q"]),
        ("image", ["images", "-q"]),
    ):
        ids = docker(*listing, "--filter", f"label={LABEL}", check=False).split()
        if ids:
            docker(kind, "rm", "-f", *ids, check=False)
    remove(project)


@dataclass(frozen=True)
class Look:
    """From where the diagnosis is called, where that is the fault: variables, a command before it, another checkout."""

    environ: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    root: Path = ROOT


@dataclass
class World(Stack):
    """One stack with a folder of locustfiles of its own."""

    folder: Path = Path()
    well_at: float = 0.0

    @classmethod
    def make(cls, project: str, folder: Path) -> World:
        """Make a stack that is not yet up, its files in `folder`."""
        folder.chmod(0o755)
        folder.parent.chmod(0o755)
        files = folder / "locustfiles"
        files.mkdir()
        files.chmod(0o755)
        made = cls(project, folder / "reports", folder=folder)
        made.settings = {
            "WORKERS": str(WORKERS),
            "WORKER_MEMORY": "512M",
            "WORKER_MEMORY_RESERVATION": "64M",
            "LOCUSTFILES_DIR": str(files),
        }
        made.reset_files()
        return made

    @property
    def files(self) -> Path:
        """Return the folder of locustfiles."""
        return self.folder / "locustfiles"

    def reset_files(self) -> None:
        """Put the shipped locustfile there and nothing else."""
        for path in self.files.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(ROOT / "locustfiles" / "locustfile.py", self.files)

    def name(self, service: str, index: int = 1) -> str:
        """Return a container's name."""
        return f"{self.project}-{service}-{index}"

    @property
    def master(self) -> str:
        """Return the master's name."""
        return self.name("locust-master")

    def worker(self, which: int = 1) -> str:
        """Return the name of the first, second … worker: Compose may have numbered them anew."""
        filters = (f"label=com.docker.compose.project={self.project}", "label=com.docker.compose.service=locust-worker")
        names = docker("ps", "-a", "--format", "{{.Names}}", *(part for text in filters for part in ("--filter", text)))
        return sorted(names.split())[which - 1]

    @property
    def network(self) -> str:
        """Return the stack's network."""
        return f"{self.project}_default"

    # ---- being well

    def is_connected(self, workers: int = WORKERS) -> bool:
        """Tell whether the master counts the workers, at the port of the last `up`: a fix may have changed it."""
        known = json.loads((ROOT / ".locust-kit/state" / f"{self.project}.json").read_text())
        port = known["choices"].get("WEB_PORT", self.web_port)
        try:
            return bool(get_json(f"http://127.0.0.1:{port}/worker-count")["worker_count"] == workers)
        except (OSError, ValueError):
            return False

    def well(self, *arguments: str) -> None:
        """Bring the stack up with all workers connected; begin anew where a fault has left what `up` keeps."""
        if self.kit("up", *arguments, timeout=400).returncode or not self._soon_connected():
            self.kit("down")
            self.up(*arguments)
        until(self.is_connected, CONNECT_SECONDS, "the workers to be connected")
        self.well_at = time.time()

    def _soon_connected(self) -> bool:
        try:
            return bool(until(self.is_connected, 10, "the workers"))
        except AssertionError:
            return False

    def close(self) -> None:
        """End the stack."""
        self.kit("down", "YES=1")

    # ---- waiting until a fault shows

    @property
    def workers(self) -> tuple[str, ...]:
        """Return the names of all workers."""
        return tuple(self.worker(number) for number in range(1, WORKERS + 1))

    def wait_for_count(self, workers: int) -> None:
        """Wait until the master answers and counts so many workers: those that it no longer hears do not count."""
        until(lambda: self.is_connected(workers), SHOWN_SECONDS, f"the master to count {workers} workers")

    def wait_for_line(self, text: str, *containers: str) -> None:
        """Wait until each of some containers has printed a text since the stack was well."""

        def is_printed() -> bool:
            return all(text in printed_since(self.well_at, container) for container in containers)

        until(is_printed, SHOWN_SECONDS, f"{text!r} in the logs of {', '.join(containers)}")

    def wait_for_event(self, action: str, *containers: str) -> None:
        """Wait until the engine has told of an event of each of some containers since the stack was well."""

        def has_happened() -> bool:
            return all(happened(action, container, self.well_at) for container in containers)

        until(has_happened, SHOWN_SECONDS, f"the event {action} of {', '.join(containers)}")

    def wait_for_restarts(self, most: int, *containers: str) -> None:
        """Wait until the engine has restarted each of some containers so often."""

        def have_restarted() -> bool:
            counts = docker("inspect", "--format", "{{.RestartCount}}", *containers).split()
            return all(int(count) >= most for count in counts)

        until(have_restarted, SHOWN_SECONDS, f"{most} restarts of {', '.join(containers)}")

    def wait_until_grown(self, container: str, age: timedelta = YOUNG) -> None:
        """Wait until a container has run for longer than the diagnosis allows one to start, or to be made."""

        def is_grown() -> bool:
            started = docker_time(docker("inspect", "--format", "{{.State.StartedAt}}", container))
            return started is not None and datetime.now(UTC) - started > age

        until(is_grown, SHOWN_SECONDS, f"{container} to be past its start")

    def wait_for_files_of(self, worker: str) -> None:
        """Wait until the master lists a worker's own files, and finds them to be others than its own."""
        hostname = docker("inspect", "--format", "{{.Config.Hostname}}", worker)

        def differ() -> bool:
            status, listed = self.web("/locust-kit/status"), self.web("/stats/requests")["workers"]
            ids = {row["id"] for row in listed if row["state"] != "missing" and row["id"].startswith(f"{hostname}_")}
            digests = {name: about["sha256"] for name, about in status["workers"].items() if name in ids}
            return any(digest != status["locustfile"]["sha256"] for digest in digests.values())

        until(differ, SHOWN_SECONDS, f"other files of {worker} in the master's list")

    # ---- diagnosing and mending

    def diagnose(self, *arguments: str, look: Look | None = None, seconds: float = 60.0) -> dict[str, Any]:
        """Return the diagnosis, with the exit code as `exit`; it must come within `seconds`."""
        look = look or Look()
        done = subprocess.run(
            [
                *look.prefix,
                str(look.root / "scripts/kit"),
                "diagnose",
                f"PROJECT={self.project}",
                "--json",
                *arguments,
            ],
            cwd=look.root,
            env={**self.environ(), **look.environ},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        diagnosis: dict[str, Any] = json.loads(done.stdout)
        return {**diagnosis, "exit": done.returncode, "stderr": done.stderr}

    def mend(self, diagnosis: Mapping[str, Any], look: Look | None = None) -> None:
        """Run the commands of the first finding, word for word, in the checkout."""
        look = look or Look()
        for command in diagnosis["findings"][0]["fix"]["commands"]:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=look.root,
                env={**self.environ(), **look.environ},
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    # ---- ways to break it

    def compose(self, override: str, *arguments: str) -> str:
        """`docker compose` of this stack with one more file, as somebody who has an override of their own calls it."""
        settings = workspace.settings_after_up([f"PROJECT={self.project}"], self.environ())
        compose = workspace.compose_for(settings, workspace.decided(settings), self.environ())
        path = self.folder / "override.yml"
        path.write_text(override)
        command = compose.command()
        done = subprocess.run(
            [
                *command,
                "-f",
                str(path),
                *(arguments or ("up", "--detach", "--no-build", "--scale", f"locust-worker={WORKERS}")),
            ],
            env=dict(compose.env),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        return done.stdout + done.stderr

    def plain_compose(self, *arguments: str) -> None:
        """`docker compose` in the checkout, by somebody who has the stack's name and ports in the environment alone."""
        names = {"PROJECT": self.project, "WEB_PORT": str(self.web_port), "MONITOR_PORT": str(self.monitor_port)}
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env={**self.environ(), **names},
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def image(self, name: str, dockerfile: str, *files: Path) -> str:
        """Build a small image; it goes with the label."""
        context = self.folder / f"image-{name}"
        context.mkdir(exist_ok=True)
        for file in files:
            shutil.copy(file, context)
        (context / "Dockerfile").write_text(dockerfile + f"LABEL {LABEL}\n")
        tag = f"locust-kit-test/{name}:faults"
        docker("build", "-q", "-t", tag, str(context))
        return tag

    @contextmanager
    def checkout(self) -> Iterator[Path]:
        """Make a checkout that has the stack instead of this one: a copy, committed, which a fault may change."""
        self.kit("down")
        copy = self.folder / "checkout"
        left = shutil.ignore_patterns(".git", ".venv", ".locust-kit", "__pycache__", ".*_cache", "reports", ".env")
        shutil.copytree(ROOT, copy, ignore=left, symlinks=True)
        (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
        shutil.copytree(ROOT / ".locust-kit", copy / ".locust-kit")
        git = ("git", "-C", str(copy), "-c", "user.name=test", "-c", "user.email=test@example.invalid")
        run(*git, "init", "-q")
        run(*git, "add", "-A")
        run(*git, "commit", "-q", "--no-verify", "-m", "as it was")
        try:
            yield copy
        finally:
            run(str(copy / "scripts/kit"), "down", f"PROJECT={self.project}", check=False)
            shutil.rmtree(copy)

    def tell(self, service: str, **environment: str | None) -> None:
        """Make a service anew with other variables; None takes one away."""
        lines = [
            f"      {name}: " + ("!reset null" if value is None else json.dumps(value))
            for name, value in environment.items()
        ]
        self.compose("services:\n  " + service + ":\n    environment:\n" + "\n".join(lines) + "\n")

    def pid(self, container: str) -> int:
        """Return the process that is Locust in a container, as this machine numbers it."""
        rows = docker("top", container, "-eo", "pid,args").splitlines()[1:]
        return next(int(row.split()[0]) for row in rows if "/opt/venv/bin/locust" in row and "docker-init" not in row)

    @contextmanager
    def frozen(self, container: str) -> Iterator[None]:
        """Stop Locust in a container with SIGSTOP; let it go on afterwards, if it still is there."""
        pid = self.pid(container)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def address(self, container: str, network: str = "") -> str:
        """Return a container's address in the stack's network."""
        networks = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"]
        return str(networks[network or self.network]["IPAddress"])

    def inside_network_of(self, container: str, *command: str) -> None:
        """Run a command of this machine in a container's network namespace."""
        pid = docker("inspect", "--format", "{{.State.Pid}}", container)
        run("nsenter", "--target", pid, "--net", *command)


def printed_since(moment: float, container: str) -> str:
    """Return what a container printed since a moment, on both streams."""
    done = subprocess.run(
        ["docker", "logs", "--since", f"{moment:.3f}", container],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def happened(action: str, container: str, since: float) -> bool:
    """Tell whether the engine has told of an event of a container since a moment."""
    filters = ("--filter", f"container={container}", "--filter", f"event={action}")
    return bool(docker("events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", *filters))


def run(*command: str, check: bool = True) -> str:
    """Run a command of this machine."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def bridge_address() -> str:
    """Return this machine's address in Docker's default network: no packet to it leaves the machine."""
    return str(json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"])


@contextmanager
def address_of_a_network() -> Iterator[str]:
    """Make an address that this machine has as long as a network of Docker's is there."""
    name = f"kit-test-lost-{time.monotonic_ns() % 100000}"
    docker("network", "create", "--label", LABEL, name)
    try:
        yield json.loads(docker("network", "inspect", name))[0]["IPAM"]["Config"][0]["Gateway"]
    finally:
        docker("network", "rm", name, check=False)


def first_byte(address: str) -> bytes:
    """Return what comes first from port 5557 of an address; empty when it is closed at once."""
    with socket.create_connection((address, 5557), 5) as line:
        try:
            return line.recv(1)
        except ConnectionError:
            return b""


@contextmanager
def rule(*words: str) -> Iterator[None]:
    """Set a rule of this machine's firewall; take it away at the end unless somebody did before."""
    run("iptables", "-I", *words)
    try:
        yield
    finally:
        run("iptables", "-D", words[0], *words[1:], check=False)


@contextmanager
def stranger(*arguments: str, image: str = "locust-kit/locust:local", command: tuple[str, ...] = ()) -> Iterator[str]:
    """Run a container that does not belong to the stack."""
    name = f"kit-test-stranger-{time.monotonic_ns() % 100000}"
    docker(
        "run", "-d", "--init", "--name", name, "--label", LABEL, *arguments, "--entrypoint", "python3", image, *command
    )
    try:
        yield name
    finally:
        docker("rm", "-f", name, check=False)
