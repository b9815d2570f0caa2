"""Another Compose project beside the stack, for WATCH_PROJECT: one small container that logs and can be made to die."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.stacks import docker

LIMIT_BYTES = 64 << 20
_IMAGE = "locust-kit/monitor:local"
_FILL = "b = bytearray(200 << 20); b[::4096] = b'x' * len(b[::4096])"


@contextmanager
def watched(project: str, service: str = "web", script: str = "") -> Iterator[str]:
    """A container of a project, which runs a script and then sleeps; yields its id.

    The service's name is a label: unlike a container's own name, it may be any text.
    """
    name = f"{project}-web-1"
    docker("rm", "-f", name, check=False)
    labels = {"project": project, "service": service, "container-number": "1", "oneoff": "False"}
    try:
        yield docker(
            "run", "--detach", "--name", name, "--init", "--network", "none", "--label", "io.locust-kit.test=watched",
            "--memory", str(LIMIT_BYTES), "--memory-swap", str(LIMIT_BYTES),
            *(part for key, value in labels.items() for part in ("--label", f"com.docker.compose.{key}={value}")),
            "--entrypoint", "python3", _IMAGE, "-c", f"{script}\nimport time; time.sleep(3600)",
        )  # fmt: skip
    finally:
        docker("rm", "-f", name, check=False)


def kill_child(container_id: str) -> None:
    """Have the kernel OOM-kill a process in the container; its main process survives."""
    docker("exec", container_id, "python3", "-c", _FILL, check=False)
