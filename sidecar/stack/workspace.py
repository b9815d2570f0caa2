"""The start of every verb: the checkout, this call's settings, the stack's web API and its Compose project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import DockerEngine, ListedContainer
from sidecar.locust_api.client import LocustApi, master_url
from sidecar.locust_api.connection import Credentials
from sidecar.settings import Settings, command_line, dotenv, load, locust_options, project_name
from sidecar.settings.addresses import shown
from sidecar.stack import deployment, secrets, state
from sidecar.stack.compose import Compose, Decided, environment

ROOT = Path(__file__).resolve().parents[2]
_INNER_WEB_PORT = 8089


def settings_for_up(args: Sequence[str], environ: Mapping[str, str], root: Path = ROOT) -> Settings:
    """Return the settings of a call that decides, without the settings of the last `up`."""
    return load(args, environ, root)


def settings_after_up(
    args: Sequence[str], environ: Mapping[str, str], root: Path = ROOT, *, with_arguments: bool = False
) -> Settings:
    """Return the settings of a call after an `up`: the settings of the `up`, unless this call sets others."""
    remembered = state.remembered(root, project_name(args, environ, root))
    return load(args, environ, root, remembered=remembered, with_arguments=with_arguments)


def decided(settings: Settings) -> Decided:
    """Return the decisions of this project's last `up`; all empty without one."""
    kept: dict[str, Any] = state.recall(settings).get("decided") or {}
    master = kept.get("master")
    return Decided(
        host=str(kept.get("host", "")),
        mock=bool(kept.get("mock")),
        locust_image=str(kept.get("locust_image", "")),
        proxy_user=str(kept.get("proxy_user", "")),
        inputs=dict(kept.get("inputs") or {}),
        master=(str(master[0]), int(master[1])) if master else None,
        processes=int(kept.get("processes") or 1),
    )


def loaded_hosts(settings: Settings) -> dict[str, str]:
    """Return the host of each User class ("" = no host), from the last check of `up` or `reload`."""
    classes = (state.recall(settings).get("decided") or {}).get("user_classes") or []
    return {str(user_class.get("name")): str(user_class.get("host") or "") for user_class in classes}


def compose_for(settings: Settings, decision: Decided, environ: Mapping[str, str]) -> Compose:
    """Return the project's `docker compose`, with its environment."""
    return Compose(settings.root, settings.project, environment(settings, decision, environ, url_inside(settings)))


def url_inside(settings: Settings) -> str:
    """Return the master's web API for the monitor: with TLS and a base path if Locust is configured so."""
    try:
        url = master_url(_INNER_WEB_PORT, locust_env(settings), "locust-master")
    except SettingError:  # Compose itself refuses the user's broken .env, but `down` must work with it
        return ""
    return url.rstrip("/")


def user_env(settings: Settings) -> dict[str, str]:
    """Return the .env beside the locustfile, which the containers get."""
    folder = settings.locustfiles_dir
    if not folder.is_dir():
        return {}
    return {entry.name: entry.value for entry in dotenv.read(folder / ".env", settings.environ)}


def locust_env(settings: Settings) -> dict[str, str]:
    """Return the options of master and workers from files, as variables: Locust's own files, and both .env."""
    return {**locust_options.variables(settings.unasked), **settings.passthrough, **user_env(settings)}


def web_for(settings: Settings) -> LocustApi:
    """Return the web API of this project's master, on this machine or on a Swarm node."""
    url = master_url(settings.web_port, locust_env(settings), deployment.locate(settings).host)
    return LocustApi(
        url, credentials=credentials(settings), verify=False
    )  # the master's certificate is often self-signed


def credentials(settings: Settings) -> Credentials:
    """Return the login for the master: from this call, else from the last `up`."""
    password, page = secrets.given(settings, "LOCUST_WEB_PASSWORD"), secrets.given(settings, "WEB_PASSWORD")
    return Credentials(settings.locust_web_username, password, page)


def expected_workers(settings: Settings) -> int:
    """Return how many workers will register. LOCUST_PROCESSES starts several per container."""
    return settings.workers * processes(settings)


def processes(settings: Settings) -> int:
    """Return the number of Locust processes per worker container: from the last `up`, else from the files."""
    kept = (state.recall(settings).get("decided") or {}).get("processes")
    return int(kept) if kept else max(1, locust_options.processes(settings.unasked))


def refuse_foreign(containers: Sequence[ListedContainer], settings: Settings) -> None:
    """Refuse to touch a stack of the same name from another checkout, but accept a checkout that was moved.

    Raises:
        StackError: the stack belongs to another checkout, which the message names.

    """
    if settings.yes:
        return
    for container in containers:
        theirs = Path(container.checkout) if container.checkout else None
        if theirs and not container.oneoff and theirs.resolve() != settings.root.resolve() and theirs.is_dir():
            raise StackError(
                f"the stack {settings.project!r} belongs to another checkout",
                where=str(theirs),
                fix="use another name here (PROJECT=mine WEB_PORT=8189), or act on that stack with YES=1",
            )


def running_stack(engine: DockerEngine, settings: Settings) -> tuple[ListedContainer, ...]:
    """Return the project's own containers, if its master is running.

    Raises:
        StackError: the stack is not running.

    """
    deployment.refuse(
        settings, "use the commands of docs/swarm.md; for logs: docker service logs; to stop: make swarm-down"
    )
    containers = tuple(container for container in engine.containers(settings.project) if not container.oneoff)
    refuse_foreign(containers, settings)
    if not any(container.service == "locust-master" and container.state == "running" for container in containers):
        master = decided(settings).master
        if master and containers:
            raise StackError(
                f"the stack {settings.project!r} has workers only; its master is at {shown(*master)}",
                fix=f"run this there, or make join{settings.project_word} MASTER={shown(*master)} WORKERS=...",
            )
        raise StackError(f"the stack {settings.project!r} is not running", fix=f"make up{settings.project_word}")
    return containers


def settings_of_project_alone(args: Sequence[str], environ: Mapping[str, str], root: Path = ROOT) -> Settings:
    """Return settings with the PROJECT only, to stop a stack whose other settings cannot be read."""
    given = command_line(args).get("PROJECT") or environ.get("PROJECT") or _project_in(root / ".env") or "locust"
    return replace(load([f"PROJECT={given}"], {}, root / ".locust-kit" / "without-env"), root=root)


def _project_in(path: Path) -> str:
    try:
        return next((entry.value for entry in dotenv.read(path, {}) if entry.name == "PROJECT"), "")
    except SettingError:
        return ""
