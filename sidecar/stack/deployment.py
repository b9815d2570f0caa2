"""The address of a stack's pages: this machine, or the Swarm node with the master."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.common.errors import StackError
from sidecar.engine.docker_engine import connect
from sidecar.engine.swarm_manager import Manager
from sidecar.model.snapshot import MASTER
from sidecar.settings import Settings
from sidecar.stack import secrets, state

if TYPE_CHECKING:  # half of the verbs do without it
    from sidecar.client.reader import SidecarReader


@dataclass(frozen=True)
class Deployment:
    """The address of the master and the leading monitor, and the token for the monitor."""

    host: str = "127.0.0.1"
    token: str = ""
    node: str = ""


HERE = Deployment()


def is_swarm(settings: Settings) -> bool:
    """Return whether this project was last started by swarm-up."""
    return bool(state.recall(settings).get("swarm"))


def refuse(settings: Settings, instead: str) -> None:
    """Refuse a command for one machine if the stack runs on a Swarm; `instead` is the fix.

    Raises:
        StackError: this project was last started by swarm-up.

    """
    if is_swarm(settings):
        raise StackError(f"the stack {settings.project!r} runs on a Swarm", fix=f"{instead}{settings.project_word}")


def locate(settings: Settings) -> Deployment:
    """Find the pages of this project.

    Raises:
        StackError: it is in a Swarm, and its master does not run on any node.

    """
    if not is_swarm(settings):
        return HERE
    manager = Manager(connect(os.environ))
    manager.check()
    fleet = manager.fleet(settings.project)
    node = fleet.home(MASTER)
    if node is None:
        reasons = {task.error or task.state for task in fleet.wanted(MASTER)}
        raise StackError(
            f"the master of the stack {settings.project!r} does not run ({', '.join(sorted(reasons)) or 'no task'})",
            fix=f"make swarm-diagnose{settings.project_word}",
        )
    token = secrets.read(settings, "CLUSTER_TOKEN")
    return Deployment(node.address, token, node.name)


def reader(settings: Settings, timeout_seconds: float = 2.0) -> SidecarReader:
    """Return the monitor of this project; in a Swarm, the leading one."""
    from sidecar.client.reader import SidecarReader  # noqa: PLC0415  half of the verbs do without it

    deployment = locate(settings)
    password = secrets.given(settings, "WEB_PASSWORD")
    return SidecarReader(
        settings.monitor_port, timeout_seconds, host=deployment.host, token=deployment.token, password=password
    )
