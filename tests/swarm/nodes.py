"""A real Swarm on one machine: each node is a privileged container with a Docker Engine of its own.

The first node is the manager that the commands talk to. It sees this checkout under its own path, as a real manager
does; the others get what they need by Swarm alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.stack import workspace
from tests.integration import images
from tests.integration.stacks import docker, until
from tests.paths import ROOT

LABEL = "io.locust-kit.test=swarm"
PROJECT = "kit-test-swarm"
NETWORK = PROJECT
IMAGE = "locust-kit-test/node:local"
WORKERS = 12
_UP_SECONDS = 1200
_SECONDS = 600
_OURS = ("locust", "monitor", "docker-proxy", "mock-target")


def sweep() -> None:
    """Take away everything that a cluster of these tests can leave."""
    for kind, listing in (("container", ["ps", "-aq"]), ("network", ["network", "ls", "-q"])):
        if found := docker(*listing, "--filter", f"label={LABEL}", check=False).split():
            flags = ["--volumes"] if kind == "container" else []
            docker(kind, "rm", "--force", *flags, *found, check=False)


@dataclass
class Node:
    """One machine."""

    name: str
    folder: Path

    @property
    def container(self) -> str:
        """The container that is this machine."""
        return f"{PROJECT}-{self.name}"

    @property
    def host(self) -> str:
        """How the docker command reaches its engine from outside."""
        return f"unix://{self.folder}/docker.sock"

    def docker(self, *arguments: str, check: bool = True) -> str:
        """What the docker command says of this node's engine."""
        return docker("--host", self.host, *arguments, check=check)

    def address(self) -> str:
        """Its address in the machines' network."""
        about = json.loads(docker("inspect", self.container))[0]
        found: str = about["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        return found

    def answers(self) -> bool:
        """Whether its engine does."""
        return bool(self.docker("version", "--format", "{{.Server.Version}}", check=False))

    @contextmanager
    def rules(self, *rules: Sequence[str]) -> Iterator[None]:
        """Rules of this machine's own firewall, taken away at the end."""
        pid = docker("inspect", "--format", "{{.State.Pid}}", self.container)
        command = ("nsenter", "--target", pid, "--net", "iptables")
        for rule in rules:
            subprocess.run([*command, "-I", *rule], check=True, timeout=30)
        try:
            yield
        finally:
            for rule in rules:
                subprocess.run([*command, "-D", *rule], check=True, timeout=30)


@dataclass
class Swarm:
    """The cluster, and the kit's commands on it."""

    nodes: list[Node]
    files: Path
    reports: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def manager(self) -> Node:
        """The node that the commands talk to."""
        return self.nodes[0]

    def named(self, name: str) -> Node:
        """A node by its name."""
        return next(node for node in self.nodes if node.name == name)

    def kit(self, verb: str, *arguments: str, timeout: float = _SECONDS) -> subprocess.CompletedProcess[str]:
        """Run `scripts/kit VERB …` to its end."""
        return subprocess.run(
            self.command(verb, *arguments),
            cwd=ROOT,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of `kit`."""
        given = {
            "PROJECT": PROJECT,
            "WORKER_MEMORY": "256M",
            "WORKER_MEMORY_RESERVATION": "32M",
            "SWARM_NODES": ",".join(node.host for node in self.nodes[1:]),
            "LOCUSTFILES_DIR": str(self.files),
            "REPORTS_DIR": str(self.reports),
            **self.settings,
        }
        return [str(ROOT / "scripts/kit"), verb, *(f"{name}={value}" for name, value in given.items()), *arguments]

    def environ(self) -> Mapping[str, str]:
        """An environment in which nothing is set by accident but the manager's engine."""
        kept = ("PATH", "HOME", "LANG", "TERM")
        return {**{name: os.environ[name] for name in kept if name in os.environ}, "DOCKER_HOST": self.manager.host}

    def up(self, *arguments: str) -> str:
        """`swarm-up`, which must succeed; what it said."""
        done = self.kit("swarm-up", f"WORKERS={WORKERS}", *arguments, timeout=_UP_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def leader(self) -> Node:
        """The node that the master runs on."""
        found = self.manager.docker(
            *("service", "ps", f"{PROJECT}_locust-master", "--filter", "desired-state=running"),
            *("--format", "{{.Node}} {{.CurrentState}}"),
        )
        running = [line.split()[0] for line in found.splitlines() if "Running" in line]
        return self.named(running[0])

    def others(self) -> list[Node]:
        """The nodes that the master does not run on."""
        leader = self.leader().name
        return [node for node in self.nodes if node.name != leader]

    def token(self) -> str:
        """What opens the sidecars' doors."""
        return (ROOT / ".locust-kit/secrets" / PROJECT / "cluster_token").read_text()

    def ask(self, node: Node, path: str) -> Any:
        """JSON of one node's sidecar."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        request = urllib.request.Request(f"http://{node.address()}:8090{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  a URL of our own
            return json.load(answer)

    def snapshot(self) -> Any:
        """What the leading sidecar shows."""
        return self.ask(self.leader(), "/api/snapshot")

    def incidents(self, since: str = "") -> list[dict[str, Any]]:
        """What the leader's ledger holds, newest first."""
        query = f"?limit=500&since={since}" if since else "?limit=500"
        found: list[dict[str, Any]] = self.ask(self.leader(), f"/api/incidents{query}")["incidents"]
        return found

    def diagnose(self) -> dict[str, Any]:
        """`swarm-diagnose --json`, with its exit code as `exit`."""
        done = self.kit("swarm-diagnose", "--json")
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return {**found, "exit": done.returncode}

    def worker_on(self, node: Node) -> str:
        """The id of one worker's container on a node."""
        ids = node.docker("ps", "--quiet", "--no-trunc", "--filter", "name=locust-worker").split()
        assert ids, f"no worker on {node.name}"
        return ids[0]

    def kill_a_child_for_memory(self, node: Node) -> str:
        """Have the kernel kill a process beside Locust in a worker's container there; the container's id."""
        worker = self.worker_on(node)
        hog = "import time\nx = []\nwhile True: x.append(bytearray(10 << 20)); time.sleep(0.01)"
        done = subprocess.run(
            ["docker", "--host", node.host, "exec", worker, "python3", "-c", hog], timeout=60, check=False
        )
        assert done.returncode == 137, done.returncode
        return worker

    def start_run(self, seconds: int, *arguments: str) -> subprocess.Popen[str]:
        """`kit run` in the background, once the master says that it is running; end it with kill()."""
        words = ("USERS=24", "SPAWN_RATE=24", f"RUN_TIME={seconds}s", *arguments)
        run = subprocess.Popen(
            self.command("run", *words),
            cwd=ROOT,
            env=dict(self.environ()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        url = f"http://{self.leader().address()}:8089/stats/requests"

        def runs() -> bool:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(json.load(answer)["state"] == "running")

        try:
            until(runs, 30, "the run to go")
        except BaseException:
            run.kill()
            raise
        return run

    def report(self) -> dict[str, Any]:
        """The newest report."""
        newest = max(self.reports.glob("*/report.json"), key=lambda one: one.stat().st_mtime)
        found: dict[str, Any] = json.loads(newest.read_text())
        return found


def build_images() -> None:
    """The kit's images and the nodes' own, on the outer engine."""
    images.build()
    settings = workspace.settings_for_up([], os.environ, ROOT)
    secrets = ROOT / ".locust-kit" / "build"
    named = {"apt_sources": "apt.sources", "apt_conf": "apt.conf", "ca_bundle": "ca.crt"}
    flags = [flag for name, file in named.items() for flag in ("--secret", f"id={name},src={secrets / file}")]
    docker(
        *("build", "--quiet", "--tag", IMAGE, "--build-arg", f"BASE_IMAGE={settings.base_image}"),
        *("--build-context", f"kit-build={ROOT / 'docker/build'}", *flags, str(Path(__file__).parent / "node")),
    )


def start(folder: Path, count: int = 3) -> list[Node]:
    """Start the machines, and join them to one Swarm."""
    docker("network", "create", "--label", LABEL, NETWORK)
    nodes = []
    for number in range(1, count + 1):
        node = Node(f"node{number}", folder / f"node{number}")
        node.folder.mkdir()
        mounts = ["--volume", f"{ROOT}:{ROOT}:ro", "--volume", f"{folder}:{folder}"] if number == 1 else []
        docker(
            *("run", "--detach", "--privileged", "--cgroupns", "private", "--name", node.container),
            *("--hostname", node.name, "--network", NETWORK, "--label", LABEL),
            *("--volume", "/var/lib/docker", "--volume", f"{node.folder}:/node", *mounts, IMAGE),
        )
        nodes.append(node)
    for node in nodes:
        until(node.answers, 60, f"the engine of {node.name}")
    manager = nodes[0]
    manager.docker("swarm", "init", "--advertise-addr", manager.address())
    token = manager.docker("swarm", "join-token", "--quiet", "worker")
    for node in nodes[1:]:
        node.docker("swarm", "join", "--token", token, f"{manager.address()}:2377")
    _give_images(manager)
    return nodes


def _give_images(node: Node) -> None:
    names = [f"locust-kit/{key}:local" for key in _OURS]
    with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as save:
        load = ["docker", "--host", node.host, "load", "--quiet"]
        subprocess.run(load, stdin=save.stdout, check=True, capture_output=True, timeout=_SECONDS)
    assert save.returncode == 0


def now() -> str:
    """This moment, as the API takes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
