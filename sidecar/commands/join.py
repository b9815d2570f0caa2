"""`join`: start only workers on this machine, for a master on another machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from sidecar.commands import up
from sidecar.common.console import Console
from sidecar.common.errors import SettingError, StackError
from sidecar.common.units import plural
from sidecar.engine.docker_engine import DockerEngine, ListedContainer, connect
from sidecar.locust_api import greeting
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import Settings
from sidecar.settings.addresses import is_loopback, shown
from sidecar.stack import images, locustfile, state, workspace
from sidecar.stack.compose import Decided, write_env_file
from sidecar.stack.registered import WorkerWait


def join(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Start settings.workers workers for settings.master, and wait until each of them hears it.

    Raises:
        KitError: wrong input, no connection to the master (nothing was started then), or the workers did not start.

    """
    began = time.monotonic()
    master = _master(settings)
    up.refuse_options(settings, environ)
    locustfile.check(locustfile.sources(settings), settings.locustfiles_dir)
    locustfile.check_tls(settings)
    engine = connect(environ)
    containers = engine.containers(settings.project)
    workspace.refuse_foreign(containers, settings)
    refuse_own_master(containers, settings)
    up.check_network(settings, engine)
    with console.step("master", f"connecting to {shown(*master)}") as step:
        greeting.at(*master)
        step.result = f"a Locust master answers at {shown(*master)}"
    decided = _prepare(settings, engine, environ, master, console)
    state.remember(settings, decided)
    _start(settings, decided, environ, console)
    with console.step("workers", "waiting until each worker hears the master") as step:
        step.result = WorkerWait(engine, settings.project, console).healthy(settings.workers)
    for line in _banner(settings, master, time.monotonic() - began):
        console.line(line)


def _master(settings: Settings) -> tuple[str, int]:
    master = settings.master
    if master is None:
        raise SettingError(
            "MASTER is not set, but join needs the address of the master", fix="make join MASTER=10.0.0.5 WORKERS=4"
        )
    if is_loopback(f"//[{master[0]}]" if ":" in master[0] else f"//{master[0]}"):
        raise SettingError(
            f"MASTER is {master[0]}, which inside a container means the container itself",
            wanted="the address of the master's machine, as in `make up REMOTE_WORKERS=...` there",
        )
    return master


def refuse_own_master(containers: Sequence[ListedContainer], settings: Settings) -> None:
    """Refuse to join with a stack that has its own master on this machine.

    Raises:
        StackError: the stack has a master.

    """
    if any(
        container.service == MASTER and container.state != "exited" and not container.oneoff for container in containers
    ):
        raise StackError(
            f"the stack {settings.project!r} has a master on this machine",
            fix=f"make down{settings.project_word}, or use another name: make join PROJECT=remote MASTER=...",
        )


def _prepare(
    settings: Settings, engine: DockerEngine, environ: Mapping[str, str], master: tuple[str, int], console: Console
) -> Decided:
    """Build the Locust image as `up` does, and check that the locustfile runs in it."""
    write_env_file(settings)
    builder = up.ImageBuilder(settings, engine, environ, console, images.all_hashes(settings))
    image, _ = builder.locust_and(["locust"])
    up.check_in_image(settings, engine, image, console)
    processes = up.processes_of(settings, engine)
    return Decided(settings.host, locust_image=image, inputs=builder.inputs, master=master, processes=processes)


def _start(settings: Settings, decided: Decided, environ: Mapping[str, str], console: Console) -> None:
    compose = workspace.compose_for(settings, decided, environ)
    with console.step("stack", "starting the workers") as step:
        scale = f"{WORKER}={settings.workers}"
        try:
            compose.run("up", "--detach", "--no-build", "--no-deps", "--scale", scale, WORKER)
        except StackError as error:
            raise up.half_up(error, settings) from None
        step.result = "started"


def _banner(settings: Settings, master: tuple[str, int], seconds: float) -> list[str]:
    tail = settings.project_word
    count = plural(settings.workers, "worker")
    return [
        "",
        f"Ready in {seconds:.1f} s: {count} of {settings.project!r} connected to the master at {shown(*master)}",
        "",
        "  The master's machine has the runs, figures and reports. This machine has the logs and exits of its workers.",
        f"  make logs{tail}    make diagnose{tail}    make down{tail}",
    ]
