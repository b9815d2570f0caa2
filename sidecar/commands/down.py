"""`down`, `clean` and `purge`: remove what belongs to the kit, by labels if nothing else works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sidecar.commands import reports
from sidecar.common.console import Console
from sidecar.common.errors import KitError, SettingError, StackError
from sidecar.common.text import some
from sidecar.engine.docker_engine import DockerEngine, Filters, connect
from sidecar.engine.labels import PROJECT_LABEL
from sidecar.settings import Settings
from sidecar.stack import deployment, image_users, secrets, state, workspace
from sidecar.stack.compose import Compose
from sidecar.stack.docker_command import docker

_TIMEOUT_SECONDS = 300
_MOST_USERS = 3  # in one line


def down(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Remove the project's containers and network. Volumes (runs, ledger), images and reports stay.

    If Compose fails, labels are enough: after a failed `up`, without images, with a broken .env.
    """
    engine = connect(environ)
    workspace.refuse_foreign(engine.containers(settings.project), settings)
    with console.step("stack", f"ending {settings.project!r}") as step:
        if not _things(engine, settings.project):
            step.result = f"{settings.project!r} has no container and no network"
            return
        compose = workspace.compose_for(settings, workspace.decided(settings), environ)
        _end(compose, engine, settings.project)
        step.result = f"{settings.project!r} ended"


def _end(compose: Compose, engine: DockerEngine, project: str) -> None:
    try:
        compose.run("--profile", "*", "down", "--remove-orphans", timeout=_TIMEOUT_SECONDS)
    except KitError:  # if Compose fails, the labels still name our containers
        remove_by_label(engine, project)
    if _things(engine, project):
        remove_by_label(engine, project)


def _things(engine: DockerEngine, project: str) -> list[str]:
    """Return ids of the containers and networks of the project."""
    return [*(container.id for container in engine.containers(project)), *_networks(engine, project)]


def _networks(engine: DockerEngine, project: str) -> list[str]:
    return [row["Id"] for row in engine.networks(_of(project))]


def volumes(engine: DockerEngine, project: str) -> list[str]:
    """Return the names of the project's volumes."""
    return sorted(row["Name"] for row in engine.volumes(_of(project)))


def _of(project: str) -> Filters:
    return {"label": [f"{PROJECT_LABEL}={project}"]}


def remove_by_label(engine: DockerEngine, project: str) -> None:
    """Remove the project's containers, then its networks, through the docker command."""
    ids = [container.id for container in engine.containers(project)]
    if ids:
        act("stop", "--time", "10", *ids)
        act("rm", "--force", *ids)
    networks = _networks(engine, project)
    if networks:
        act("network", "rm", *networks)
    left = _things(engine, project)
    if left:
        raise StackError(
            f"{len(left)} containers or networks of the stack {project!r} could not be removed", fix="make down again"
        )


def act(*arguments: str) -> None:
    """Run one docker command. The caller checks what is left."""
    docker(*arguments, seconds=_TIMEOUT_SECONDS)


def clean(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Remove what the kit can make again: containers, networks, built images. Never remove a volume or a report."""
    down(settings, environ, console)
    engine = connect(environ)
    with console.step("images", "removing the kit's images") as step:
        removed, kept, users = _remove_images(engine, settings)
        outcome = f"removed {removed}" if removed else "no images to remove"
        step.result = outcome + (f"; kept {kept}, used by {some(users, _MOST_USERS)}" if kept else "")


def _remove_images(engine: DockerEngine, settings: Settings) -> tuple[int, int, list[str]]:
    """Remove our built images; return how many were removed and kept, and the users of the kept images.

    An image is kept while a container, or another checkout or project, uses it. Another name of it is kept, too.
    """
    images = {row["Id"]: set(row.get("RepoTags") or []) for row in engine.images("locust-kit/*")}
    users = {(container.project or container.name): {container.image_id} for container in engine.containers()}
    for user in image_users.others(engine, settings):
        used = {key for key, tags in images.items() if user.images is None or tags & user.images}
        users[user.text] = used
    used = set().union(*users.values())
    tags = {tag: key in used for key, tags in images.items() for tag in tags if not tag.startswith("locust-kit/base:")}
    unused = [tag for tag, is_used in tags.items() if not is_used]
    if unused:
        act("rmi", *sorted(unused, key=lambda tag: ":req-" not in tag))  # derived images before their base
    kept = sum(engine.image(tag) is not None for tag in tags)
    if volumes(engine, settings.project):
        image_users.replace(settings, ())
    else:
        image_users.forget(settings)
    return len(tags) - kept, kept, sorted(text for text, ids in users.items() if ids & images.keys())


def purge(settings: Settings, environ: Mapping[str, str], console: Console, ask: Callable[[str], bool]) -> bool:
    """Remove everything of the project, results included; return whether it was removed.

    `ask` asks a question; True means yes.
    """
    engine = connect(environ)
    workspace.refuse_foreign(engine.containers(settings.project), settings)
    names = volumes(engine, settings.project)
    console.line(f"This deletes the following of the stack {settings.project!r}:")
    for line in _losses(settings, names):
        console.line(f"  - {line}")
    if not settings.with_reports:
        console.line(f"The reports in {settings.reports_dir} are kept (WITH_REPORTS=1 deletes them, too).")
    if not ask("Delete all this?"):
        console.line("Nothing was deleted.")
        return False
    clean(settings, environ, console)
    if names:
        with console.step("volumes", "removing runs and ledger") as step:
            act("volume", "rm", *names)
            left = volumes(engine, settings.project)
            if left:
                raise StackError(f"volumes could not be removed: {', '.join(left)}")
            step.result = f"removed {', '.join(names)}"
    image_users.forget(settings)
    _forget(settings, console)
    return True


def _losses(settings: Settings, names: Sequence[str]) -> list[str]:
    losses = ["its containers, its network, and the images of the kit that no other checkout or project uses"]
    losses += [f"the volume {name} and its data" for name in names]
    if settings.with_reports:
        losses.append(f"the reports in {settings.reports_dir}")
    return losses


def _forget(settings: Settings, console: Console) -> None:
    for path in (
        state.path_of(settings.root, settings.project),
        settings.state_dir / "state" / "check" / f"{settings.project}.json",
    ):
        path.unlink(missing_ok=True)
    secrets.forget(settings)
    if settings.with_reports:
        _remove_reports(settings.reports_dir)
        console.note(f"removed the reports in {settings.reports_dir}")


def _remove_reports(folder: Path) -> None:
    """Remove the kit's run folders (each has a report.json of the kit), and nothing else in the folder."""
    import shutil  # noqa: PLC0415  only here

    for run in reports.files(folder):
        shutil.rmtree(run.parent)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


# ---- as the command line calls them ----------------------------------------------------------------------------------


def down_in_any_case(words: Sequence[str], environ: Mapping[str, str], console: Console) -> None:
    """Stop the stack, even if .env or the last `up` has an invalid value."""
    try:
        settings = workspace.settings_after_up(words, environ)
    except SettingError:
        settings = workspace.settings_of_project_alone(words, environ)
    deployment.refuse(settings, "make swarm-down")
    down(settings, environ, console)


def clean_up(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Remove what the kit can make again, and print what is kept."""
    clean(settings, environ, console)
    console.note("kept: reports, and the volumes with runs and ledger")


def purge_after_asking(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Ask, then delete everything. Return 1 if the person refuses."""

    def ask(question: str) -> bool:
        if settings.yes:
            return True
        if not sys.stdin.isatty():
            raise SettingError(
                "purge deletes results, and without a terminal it cannot ask you", fix="make purge YES=1"
            )
        return input(f"{question} Type yes: ").strip().lower() == "yes"

    return 0 if purge(settings, environ, console, ask) else 1
