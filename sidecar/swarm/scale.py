"""`swarm-scale` and `swarm-down`."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sidecar.common.console import Console
from sidecar.common.errors import SettingError, StackError
from sidecar.common.units import plural
from sidecar.engine.docker_engine import connect
from sidecar.engine.swarm_manager import Manager
from sidecar.model.snapshot import WORKER
from sidecar.settings import Settings
from sidecar.stack import deployment, state, workspace
from sidecar.stack.docker_command import printed
from sidecar.stack.registered import Clock
from sidecar.swarm import stack, waiting

_ACT_SECONDS = 60.0
_GONE_SECONDS = 120.0


def swarm_scale(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Scale the running stack to settings.workers, and change nothing else.

    Raises:
        SettingError: WORKERS was not given.
        StackError: the stack is not on this Swarm, or the workers did not register in time.

    """
    if not settings.said_now("WORKERS"):
        raise SettingError("swarm-scale needs the number of workers", fix="make swarm-scale WORKERS=20")
    manager = Manager(connect(environ))
    manager.check()
    fleet = manager.fleet(settings.project)
    before = next((service.replicas for service in fleet.services if service.name == WORKER), None)
    if before is None:
        raise StackError(
            f"the stack {settings.project!r} is not on this Swarm", fix=f"make swarm-up{settings.project_word}"
        )
    with console.step("stack", f"from {before} to {plural(settings.workers, 'worker')}") as step:
        target = f"{settings.project}_{WORKER}={settings.workers}"
        printed("service", "scale", "--detach", target, what="docker service scale", seconds=_ACT_SECONDS)
        step.result = f"from {before} to {plural(settings.workers, 'worker')}"
    state.remember_workers(settings)
    with console.step("workers", "waiting for the workers to register at the master") as step:
        step.result = waiting.wait(manager, settings, workspace.expected_workers(settings), Clock())


def swarm_down(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Remove the stack from all nodes. The volumes with runs and ledgers stay.

    Raises:
        StackError: this engine is not a manager, or a part of the stack could not be removed.

    """
    manager = Manager(connect(environ))
    manager.check()
    with console.step("stack", "removing the services") as step:
        there = manager.fleet(settings.project).services
        if there:
            printed("stack", "rm", settings.project, what="docker stack rm", seconds=_ACT_SECONDS)
            _wait_until_gone(settings)
        stack.remove_replaced(settings)
        step.result = f"removed {plural(len(there), 'service')}" if there else "there was no stack"
    path = state.path_of(settings.root, settings.project)
    if deployment.is_swarm(settings):
        state.write(path, {name: value for name, value in state.read(path).items() if name != "swarm"})


def _wait_until_gone(settings: Settings) -> None:
    """Wait until the networks are gone. One that is still being removed would break the next swarm-up."""
    label = f"label=com.docker.stack.namespace={settings.project}"
    end = time.monotonic() + _GONE_SECONDS
    while printed("network", "ls", "--quiet", "--filter", label, what="docker network ls").strip():
        if time.monotonic() >= end:
            raise StackError(
                f"the networks of {settings.project!r} still exist after {_GONE_SECONDS:.0f} s",
                fix="docker network ls; something outside the stack may use them",
            )
        time.sleep(1.0)
