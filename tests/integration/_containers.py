"""Single containers on the real engine: labelled, hardened as in the stack, and removed whatever happens."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LABEL = "io.locust-kit.test=single"
TMPFS = "/tmp:size=16m,mode=1777"  # noqa: S108 - inside the container
HARDENED = (
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--tmpfs",
    TMPFS,
)
ENGINE_SOCKET = "/var/run/docker.sock"
DEADLINE_SECONDS = 120.0


def engine_absent() -> str:
    """Why there is no engine to test on; empty when there is one."""
    if shutil.which("docker") is None:
        return "no docker command on this machine"
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=20, check=False)
    return "" if asked.returncode == 0 else f"the engine does not answer: {asked.stderr.strip()}"


def run_docker(*arguments: str) -> str:
    """What a docker command prints, which must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def succeeds(*arguments: str) -> bool:
    """Whether a docker command ends with 0."""
    return subprocess.run(["docker", *arguments], capture_output=True, timeout=120, check=False).returncode == 0


def need_image(name: str) -> str:
    """The image's name, which must be built: a missing one is a failure, not a reason to skip."""
    if not succeeds("image", "inspect", name):
        pytest.fail(f"image {name} is not built; run: make setup", pytrace=False)
    return name


@contextlib.contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A running container's id. It is removed at the end, its anonymous volumes with it."""
    name = f"kit-test-{uuid.uuid4().hex[:12]}"
    try:
        yield run_docker("run", "--detach", "--name", name, "--label", LABEL, *options, image, *command)
    finally:
        subprocess.run(["docker", "rm", "-fv", name], capture_output=True, timeout=60, check=False)


@contextlib.contextmanager
def volume() -> Iterator[str]:
    """A fresh named volume, removed at the end."""
    name = f"kit-test-{uuid.uuid4().hex[:12]}"
    try:
        yield run_docker("volume", "create", "--label", LABEL, name)
    finally:
        subprocess.run(["docker", "volume", "rm", "-f", name], capture_output=True, timeout=60, check=False)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition with a generous deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.05)


def health(container_id: str) -> str:
    """What the engine says of the container's health."""
    return run_docker("inspect", "--format", "{{.State.Health.Status}}", container_id)
