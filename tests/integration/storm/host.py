"""What a person with a root shell on the host can do to containers behind the engine's back."""

from __future__ import annotations

from tests.integration.stacks import docker
from tests.integration.storm.victims import IMAGE


def sigkill(container_id: str) -> None:
    """SIGKILL a container's main process from outside: unlike `docker kill`, nobody has asked the engine for it.

    Done from a container that shares the host's process ids, so that it needs no root here, only the engine.
    """
    pid = docker("inspect", "--format", "{{.State.Pid}}", container_id)
    assert pid != "0", f"{container_id} is not running"
    ours = ["--label", "io.locust-kit.role=test", "--network", "none", "--pid", "host", "--user", "0"]
    docker("run", "--rm", *ours, "--entrypoint", "sh", IMAGE, "-c", f"kill -KILL {pid}")
