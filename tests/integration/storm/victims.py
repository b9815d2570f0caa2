"""Containers in which real processes run out of memory, labelled as containers of a Compose project."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tests.integration.stacks import DOCKER_SECONDS, docker

IMAGE = "locust-kit/locust:local"  # it has a Python, and is there wherever a stack is
LABEL = "io.locust-kit.test"
PROGRAM = (Path(__file__).parent / "eater.py").read_text()
PYTHON = ("python3", "-S", "-E", "-c", PROGRAM)  # -S -E: a quick start, so that short lives are short


def sh(script: str) -> tuple[str, ...]:
    """A command line of the shell."""
    return ("sh", "-c", script)


def eater(*arguments: str) -> tuple[str, ...]:
    """A command line of the program in eater.py."""
    return (*PYTHON, *arguments)


def line(what: str) -> str:
    """The shell's way to log what the program would."""
    return f'echo "{{\\"what\\":\\"{what}\\",\\"ns\\":$(date +%s%N)}}"'


# Dead within a moment: no interpreter to load, and `tail` keeps what it reads until a line ends, which none does.
DIE_AT_ONCE = sh(f"{line('start')}; {line('eating')}; exec tail /dev/zero")


@dataclass(frozen=True, slots=True)
class Shape:
    """What happens in a container: its command, its restart policy and its memory.

    A `one_off` is removed with its end. `exec_kids` processes are killed under a `docker exec` beside the main process.
    `service`: another one than its own. `probed`: it has a quick health check, whose events push others out of
    the engine's buffer.
    """

    name: str
    command: tuple[str, ...]
    restart: str = "no"
    memory: str = "32m"
    one_off: bool = False
    exec_kids: int = 0
    service: str = ""
    probed: bool = False


@dataclass(frozen=True, slots=True)
class Victim:
    """A container that was started to lose processes.

    `said`: what it printed, where its log went with it; `execs`: what the parent under `docker exec` printed.
    """

    id: str
    shape: Shape
    said: str | None = None
    execs: str = ""


@dataclass(slots=True)
class Ward:
    """Starts victims of one Compose project and removes them. `probe_seconds`: how often health checks are made."""

    project: str
    probe_seconds: int = 1
    started: int = 0

    def options(self, shape: Shape) -> list[str]:
        """The options of `docker run` for the next victim."""
        self.started += 1
        labels = {
            LABEL: "storm",
            "com.docker.compose.project": self.project,
            "com.docker.compose.service": shape.service or f"victim-{shape.name}",
            "com.docker.compose.container-number": str(self.started),
            "com.docker.compose.oneoff": "False",
        }
        own = [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
        name = ["--name", f"{self.project}-victim-{shape.name}-{self.started}"]
        # Swap equal to memory: with more, a host that has swap would page instead of killing.
        limits = ["--memory", shape.memory, "--memory-swap", shape.memory, "--network", "none"]
        probe = ["--health-cmd", "true", "--health-interval", f"{self.probe_seconds}s"] if shape.probed else []
        return [*name, *own, *limits, *probe, "--restart", shape.restart]

    def admit(self, shape: Shape) -> Victim:
        """Have this happen; what runs in the background goes on."""
        if shape.one_off:
            return self.one_off(shape)
        victim = self.start(shape)
        return replace(victim, execs=lose_in_exec(victim.id, shape.exec_kids)) if shape.exec_kids else victim

    def start(self, shape: Shape) -> Victim:
        """Start a victim in the background."""
        command, *rest = shape.command
        return Victim(docker("run", "--detach", *self.options(shape), "--entrypoint", command, IMAGE, *rest), shape)

    def one_off(self, shape: Shape) -> Victim:
        """Run a victim to its end; nothing of it is left but what it printed."""
        command, *rest = shape.command
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "id"
            options = ["--rm", "--cidfile", str(told), *self.options(shape), "--entrypoint", command]
            done = subprocess.run(
                ["docker", "run", *options, IMAGE, *rest],
                capture_output=True,
                text=True,
                timeout=DOCKER_SECONDS,
                check=False,
            )
            assert done.returncode == 137, f"a victim was not killed: {done.returncode} {done.stderr}"
            return Victim(told.read_text().strip(), shape, done.stdout)

    def remove(self) -> None:
        """Remove every victim of this project."""
        found = docker("ps", "-aq", "--filter", f"label={LABEL}=storm", "--filter", f"label={self.mine()}").split()
        if found:
            docker("rm", "--force", "--volumes", *found, check=False)

    def mine(self) -> str:
        """The label of this project."""
        return f"com.docker.compose.project={self.project}"


def lose_in_exec(container_id: str, kids: int) -> str:
    """Have processes killed that `docker exec` started beside the main one; return what their parent logged."""
    return docker("exec", container_id, *eater("once", str(kids), "0.2"))
