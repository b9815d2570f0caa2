"""`restart`, `reload` and `scale`: what changes a running stack. Locust reads a locustfile only when it starts."""

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
        LocustfileError: the locustfile on disk cannot run; the stack stays as it is.
        StackError: the stack is down, a run is going, or the workers did not come back.

    """
    engine, _, containers = _ready_to(settings, environ, console, "restart")
    _restart_all(engine, containers, containers, console)
    _wait(settings, engine, containers, console)


def reload(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Let master and workers load the locustfile as it is now on disk; checked first, and seen to have happened.

    Raises:
        LocustfileError: the file cannot run; the stack keeps the one it has.
        StackError: the stack is down, a run is going, or what changed needs `make up`.

    """
    engine, web, containers = _ready_to(settings, environ, console, "reload")
    locust = [container for container in containers if container.service in (MASTER, WORKER)]
    _restart_all(engine, locust, containers, console)
    _wait(settings, engine, locust, console)
    with console.step("locustfile", "asking every process what it loaded") as step:
        step.result = _all_fresh(web, workspace.expected_workers(settings))


def _ready_to(
    settings: Settings, environ: Mapping[str, str], console: Console, verb: str
) -> tuple[DockerEngine, LocustApi, tuple[ListedContainer, ...]]:
    """Refuse what can be refused before a process is touched: a new process loads what is on disk now."""
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
        return  # a master that does not answer has no run that could be lost
    if run_state in _RUNNING:
        raise StackError(f"a run is going, and {verb} would end it", fix=f"wait for it, or make {verb} YES=1")


def _refuse_what_needs_up(settings: Settings, engine: DockerEngine, console: Console) -> None:
    """Refuse what would need another image, target or environment: a reload changes no container."""
    decided = workspace.decided(settings)
    wanted_image = up.requirements_image(settings, engine)
    if wanted_image and wanted_image != decided.locust_image:
        raise StackError("requirements.txt has changed, and a reload installs nothing", fix="make up")
    if not wanted_image and ":req-" in decided.locust_image:
        raise StackError("requirements.txt is gone, but its image is still in use", fix="make up")
    checked = up.check_in_image(settings, engine, decided.locust_image or "locust-kit/locust:local", console)
    destination = up.decide_target(settings, checked)
    if (destination.host, destination.mock) != (decided.host, decided.mock):
        raise StackError(f"the target changes to {destination.shown}, which a reload cannot apply", fix="make up")
    state.note_classes(state.path_of(settings.root, settings.project), asdict(checked))


def _restart_all(
    engine: DockerEngine, chosen: Sequence[ListedContainer], every: Sequence[ListedContainer], console: Console
) -> None:
    """Restart the chosen containers side by side: a worker keeps knocking until its new master listens."""
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
    """Wait until master and workers say that what they loaded is what is on disk.

    Raises:
        StackError: somebody still runs an older file.

    """
    end = _CLOCK.now() + _FRESH_DEADLINE_SECONDS
    while True:
        status = web.status()
        if status is None:
            return "this master has no plugin to ask; all processes are new"
        known = status.get("workers") or {}
        stale = plan.stale_processes(status)
        if len(known) >= workers and not stale:
            return f"{1 + len(known)} processes run the file on disk"
        if _CLOCK.now() >= end:
            raise StackError(
                f"after the reload, {len(stale) or 'too few processes'} of {1 + workers} still run an older locustfile",
                fix="make logs",
            )
        _CLOCK.sleep(0.3)


def scale(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Bring the running stack to settings.workers; workers beyond that get SIGTERM, so Locust counts them as quit.

    Raises:
        SettingError: WORKERS was not given, or a setting that only the new workers would have.
        StackError: the stack is down, or the master's count did not follow.

    """
    if not settings.said_now("WORKERS"):
        raise SettingError("scale needs to know how many workers", fix="make scale WORKERS=8")
    _refuse_further_settings(settings)
    engine = connect(environ)
    containers = workspace.running_stack(engine, settings)
    as_decided.refuse(as_decided.differences(engine, containers, settings), settings)
    before = sum(container.service == WORKER and container.state == "running" for container in containers)
    if settings.workers < before:
        state.remember_workers(settings)  # whoever looks meanwhile must not miss the workers that are asked to leave
    compose = workspace.compose_for(settings, workspace.decided(settings), environ)
    with console.step("stack", f"from {before} to {settings.workers} workers") as step:
        as_they_are = ("--detach", "--no-build", "--no-recreate", "--no-deps")
        compose.run("up", *as_they_are, "--scale", f"{WORKER}={settings.workers}", WORKER)
        step.result = f"from {before} to {settings.workers} workers"
    state.remember_workers(settings)
    wanted = workspace.expected_workers(settings)
    up.wait_for_workers(settings, engine, wanted, console, "waiting for the master's count to follow")


def _refuse_further_settings(settings: Settings) -> None:
    """Refuse settings of containers that are other than `up` was told: the old workers would not have them."""
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
