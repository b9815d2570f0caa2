"""`restart`, `reload` and `scale` change a running stack. Locust reads a locustfile only at its start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from sidecar.commands import plan, up
from sidecar.common.console import Console
from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import DockerEngine, ListedContainer, connect
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import SETTINGS, Settings
from sidecar.stack import as_decided, locustfile, state, workspace
from sidecar.stack.registered import Clock

_RESTART_TIMEOUT_SECONDS = 90.0
_FRESH_DEADLINE_SECONDS = 30.0
_MOST_AT_ONCE = 16
_RUNNING = frozenset({"spawning", "running", "stopping"})
_OF_SCALE = frozenset({"WORKERS", "PROJECT", "WEB_PORT", "MONITOR_PORT"})
_CLOCK = Clock()


def restart(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Restart every container of the running stack, and wait for the workers.

    Raises:
        LocustfileError: the locustfile on disk cannot run. The stack does not change.
        StackError: the stack is down, a run is active, or the workers did not come back.

    """
    engine, _, containers = _ready_to(settings, environ, console, "restart")
    _restart_all(engine, containers, containers, console)
    _wait(settings, engine, containers, console)


def reload(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Let master and workers load the locustfile on disk. Check it before, and verify the result.

    Raises:
        LocustfileError: the file cannot run. The stack keeps the old file.
        StackError: the stack is down, a run is active, or the change needs `make up`.

    """
    engine, web, containers = _ready_to(settings, environ, console, "reload")
    locust = [container for container in containers if container.service in (MASTER, WORKER)]
    _restart_all(engine, locust, containers, console)
    _wait(settings, engine, locust, console)
    with console.step("locustfile", "checking what every process has loaded") as step:
        step.result = _all_fresh(web, workspace.expected_workers(settings))


def _ready_to(
    settings: Settings, environ: Mapping[str, str], console: Console, verb: str
) -> tuple[DockerEngine, LocustApi, tuple[ListedContainer, ...]]:
    """Refuse all bad cases before a process restarts, because a new process loads the files on disk."""
    up.refuse_options(settings, environ)
    locustfile.check(locustfile.sources(settings), settings.locustfiles_dir)
    engine = connect(environ)
    containers = workspace.running_stack(engine, settings)
    web = workspace.web_for(settings)
    _refuse_during_run(web, settings, verb)
    as_decided.refuse(as_decided.differences(engine, containers, settings), settings)
    _refuse_what_needs_up(settings, engine, console)
    return engine, web, containers


def _refuse_during_run(web: LocustApi, settings: Settings, verb: str) -> None:
    if settings.yes:
        return
    try:
        run_state = web.stats().get("state")
    except MasterError:
        return  # a master that does not answer has no run to lose
    if run_state in _RUNNING:
        raise StackError(f"a run is active, and {verb} would end it", fix=f"wait for its end, or make {verb} YES=1")


def _refuse_what_needs_up(settings: Settings, engine: DockerEngine, console: Console) -> None:
    """Refuse changes of image, target or environment, because a reload changes no container."""
    decided = workspace.decided(settings)
    wanted_image = up.requirements_image(settings, engine)
    if wanted_image and wanted_image != decided.locust_image:
        raise StackError("requirements.txt has changed, but a reload installs no packages", fix="make up")
    if not wanted_image and ":req-" in decided.locust_image:
        raise StackError("requirements.txt was removed, but the stack still runs its image", fix="make up")
    checked = up.check_in_image(settings, engine, decided.locust_image or "locust-kit/locust:local", console)
    destination = up.decide_target(settings, checked)
    if (destination.host, destination.mock) != (decided.host, decided.mock):
        raise StackError(
            f"the target changes to {destination.shown}, but a reload cannot change the target", fix="make up"
        )
    state.note_classes(state.path_of(settings.root, settings.project), asdict(checked))


def _restart_all(
    engine: DockerEngine, chosen: Sequence[ListedContainer], every: Sequence[ListedContainer], console: Console
) -> None:
    """Restart the chosen containers in parallel: a worker reconnects until its new master listens."""
    with (
        console.step("restart", f"{len(chosen)} of {len(every)} containers"),
        ThreadPoolExecutor(_MOST_AT_ONCE) as pool,
    ):
        first = sorted(chosen, key=lambda listed_container: listed_container.service != MASTER)
        for done in [pool.submit(engine.restart, container.id, _RESTART_TIMEOUT_SECONDS) for container in first]:
            done.result()


def _wait(settings: Settings, engine: DockerEngine, restarted: Sequence[ListedContainer], console: Console) -> None:
    workers = sum(1 for container in restarted if container.service == WORKER)
    up.wait_for_workers(settings, engine, workers * workspace.processes(settings), console)


def _all_fresh(web: LocustApi, workers: int) -> str:
    """Wait until master and workers report that they have loaded the files on disk.

    Raises:
        StackError: a process still runs an older file.

    """
    end = _CLOCK.now() + _FRESH_DEADLINE_SECONDS
    while True:
        status = web.status()
        if status is None:
            return "all processes are new (this master has no kit plugin that could confirm it)"
        known = status.get("workers") or {}
        stale = plan.stale_processes(status)
        if len(known) >= workers and not stale:
            return f"{1 + len(known)} processes run the file on disk"
        if _CLOCK.now() >= end:
            raise StackError(
                f"after the reload, {len(stale) or 'some'} of {1 + workers} processes still run an older locustfile",
                fix="make logs",
            )
        _CLOCK.sleep(0.3)


def scale(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Change the running stack to settings.workers. Workers beyond that get SIGTERM, so Locust counts them as quit.

    Raises:
        SettingError: WORKERS is not set, or a setting would apply to the new workers only.
        StackError: the stack is down, or the number of registered workers did not change.

    """
    if not settings.said_now("WORKERS"):
        raise SettingError("WORKERS is not set, but scale needs the number of workers", fix="make scale WORKERS=8")
    _refuse_further_settings(settings)
    engine = connect(environ)
    containers = workspace.running_stack(engine, settings)
    as_decided.refuse(as_decided.differences(engine, containers, settings), settings)
    before = sum(container.service == WORKER and container.state == "running" for container in containers)
    if settings.workers < before:
        state.remember_workers(settings)  # saved first, so that nobody misses the workers that stop now
    compose = workspace.compose_for(settings, workspace.decided(settings), environ)
    with console.step("stack", f"from {before} to {settings.workers} workers") as step:
        as_they_are = ("--detach", "--no-build", "--no-recreate", "--no-deps")
        compose.run("up", *as_they_are, "--scale", f"{WORKER}={settings.workers}", WORKER)
        step.result = f"from {before} to {settings.workers} workers"
    state.remember_workers(settings)
    wanted = workspace.expected_workers(settings)
    up.wait_for_workers(settings, engine, wanted, console, "waiting until this number of workers is registered")


def _refuse_further_settings(settings: Settings) -> None:
    """Refuse container settings that differ from `up`, because the old workers would not have them."""
    choices = state.recall(settings).get("choices") or {}
    further = [
        name
        for name, entry in settings.given.items()
        if settings.said_now(name) and SETTINGS[name].to and SETTINGS[name].lasting and name not in _OF_SCALE
        if SETTINGS[name].value(entry.raw) != SETTINGS[name].value(str(choices.get(name, "")))
    ]
    if further and as_decided.is_known(settings):
        words = " ".join(f"{name}=..." for name in further)
        raise SettingError(
            f"{', '.join(further)}: scale changes only the number of workers",
            fix=f"make up{settings.project_word} WORKERS={settings.workers} {words}",
        )
