"""Where the pages of a stack are: on this machine, or on whichever node of the Swarm the master runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.common.errors import StackError
from sidecar.engine.host_client import connect
from sidecar.engine.swarm_manager import MASTER, Manager
from sidecar.stack import secrets, state

if TYPE_CHECKING:
    from sidecar.client.reader import SidecarReader
    from sidecar.settings import Settings


@dataclass(frozen=True)
class Deployment:
    """The address at which master and leading sidecar answer, and what opens the sidecar's door."""

    host: str = "127.0.0.1"
    token: str = ""
    node: str = ""


HERE = Deployment()


def is_swarm(settings: Settings) -> bool:
    """Whether this project was last started by swarm-up."""
    return bool(found(settings).get("swarm"))


def refuse(settings: Settings, instead: str) -> None:
    """Refuse a command of one machine for a stack that runs on a Swarm; `instead` is what to do.

    Raises:
        StackError: this project was last started by swarm-up.

    """
    if is_swarm(settings):
        raise StackError(f"the stack {settings.project!r} runs on a Swarm", fix=f"{instead}{settings.project_word}")


def found(settings: Settings) -> dict[str, Any]:
    """What is remembered of the last `up` or `swarm-up`."""
    return state.read(state.path_of(settings.root, settings.project))


def where(settings: Settings) -> Deployment:
    """Find the pages of this project.

    Raises:
        StackError: it is in a Swarm, and its master runs on no node.

    """
    if not is_swarm(settings):
        return HERE
    manager = Manager(connect(os.environ))
    manager.check()
    fleet = manager.fleet(settings.project)
    node = fleet.home(MASTER)
    if node is None:
        words = {one.error or one.state for one in fleet.wanted(MASTER)}
        raise StackError(
            f"the master of the stack {settings.project!r} runs on no node ({', '.join(sorted(words)) or 'no task'})",
            fix=f"make swarm-diagnose{settings.project_word}",
        )
    path = secrets.path_of(settings, "CLUSTER_TOKEN")
    token = path.read_text(encoding="utf-8") if path.exists() else ""
    return Deployment(node.address, token, node.name)


def reader(settings: Settings, timeout_seconds: float = 2.0) -> SidecarReader:
    """The sidecar of this project: the leading one in a Swarm."""
    from sidecar.client.reader import SidecarReader  # noqa: PLC0415  half of the verbs do without it

    place = where(settings)
    return SidecarReader(settings.monitor_port, timeout_seconds, host=place.host, token=place.token)
