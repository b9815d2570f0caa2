"""`scale`: another number of workers on a running stack, nothing else touched."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.common.errors import SettingError
from sidecar.engine.docker_engine import connect
from sidecar.stack import registered, state, workspace
from sidecar.stack.registered import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.common.console import Console
    from sidecar.settings import Settings

_WORKER = "locust-worker"


def scale(settings: Settings, environ: Mapping[str, str], say: Console) -> None:
    """Bring the running stack to settings.workers; workers beyond that get SIGTERM, so Locust counts them as quit.

    Raises:
        SettingError: WORKERS was not given.
        StackError: the stack is down, or the master's count did not follow.

    """
    if not settings.said_now("WORKERS"):
        raise SettingError("scale needs to know how many workers", fix="make scale WORKERS=8")
    engine = connect(environ)
    before = sum(
        1 for one in workspace.running_stack(engine, settings) if one.service == _WORKER and one.state == "running"
    )
    if settings.workers < before:
        _remember(settings)  # whoever looks meanwhile must not miss the workers that are asked to leave
    compose = workspace.compose_for(settings, workspace.decided(settings), environ)
    with say.step("stack", f"from {before} to {settings.workers} workers") as step:
        compose.run(
            "up",
            "--detach",
            "--no-build",
            "--no-recreate",
            "--no-deps",
            "--scale",
            f"{_WORKER}={settings.workers}",
            _WORKER,
        )
        step.result = f"from {before} to {settings.workers} workers"
    _remember(settings)
    with say.step("workers", "waiting for the master's count to follow") as step:
        clock = Clock(time.monotonic, time.sleep)
        step.result = registered.wait(
            workspace.web_for(settings),
            engine,
            settings.project,
            workspace.expected_workers(settings),
            say,
            clock,
            others=bool(settings.remote_workers),
        )


def _remember(settings: Settings) -> None:
    path = state.path_of(settings.root, settings.project)
    document = state.read(path)
    document["choices"] = {**(document.get("choices") or {}), "WORKERS": str(settings.workers)}
    state.write(path, document)
