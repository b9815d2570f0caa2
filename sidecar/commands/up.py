"""`up`: from settings to N workers registered at the master. First everything that can be refused, then the acts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.commands import banner
from sidecar.commands.down import docker
from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import DockerEngine, ListedContainer, connect
from sidecar.stack import (
    check,
    deployment,
    images,
    locustfile,
    ports,
    proxy_user,
    registered,
    remote,
    secrets,
    state,
    target,
    workspace,
)
from sidecar.stack.compose import Compose, Decided, write_env_file
from sidecar.stack.registered import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.common.console import Console
    from sidecar.settings import Settings

_GIB = 1024**3


@dataclass(frozen=True)
class Prepared:
    """What is known once nothing is left to refuse."""

    decided: Decided
    target: target.Target
    checked: check.Checked
    built: bool


def up(settings: Settings, environ: Mapping[str, str], say: Console, *, quiet_end: bool = False) -> None:
    """Bring the stack up, or to the wanted shape when it is up already; `quiet_end` leaves the banner out.

    Raises:
        KitError: bad input (nothing was started then), or the stack did not come up.

    """
    began = time.monotonic()
    engine, containers = _pre_flight(settings, environ)
    prepared = prepare(settings, engine, environ, say)
    compose = workspace.compose_for(settings, prepared.decided, environ)
    note = memory_note(settings, int(engine.info().get("MemTotal") or 0))
    if note:
        say.note(note)
    remember(settings, prepared)
    _start(settings, compose, containers, prepared.decided, say)
    with say.step("workers", "waiting for the workers to register at the master") as step:
        web = workspace.web_for(settings)
        clock = Clock(time.monotonic, time.sleep)
        wanted, others = workspace.expected_workers(settings), bool(settings.remote_workers)
        step.result = registered.wait(web, engine, settings.project, wanted, say, clock, others=others)
    if prepared.built:
        engine.remove_replaced_images()
    if not quiet_end:
        banner.show(settings, prepared.target.shown, web.url, time.monotonic() - began, environ, say)
        for line in remote.lines(settings, mock=prepared.decided.mock):
            say.line(line)


def _pre_flight(settings: Settings, environ: Mapping[str, str]) -> tuple[DockerEngine, tuple[ListedContainer, ...]]:
    """Everything that can be refused in a few milliseconds."""
    deployment.refuse(settings, "make swarm-up, or a PROJECT of another name, or first: make swarm-down")
    locustfile.check(locustfile.sources(settings), settings.locustfiles_dir)
    locustfile.check_tls(settings)
    engine = connect(environ)
    containers = engine.containers()
    ours = tuple(container for container in containers if container.project == settings.project)
    workspace.refuse_foreign(ours, settings)
    ports.check(settings, containers)
    remote.check(settings, containers)
    check_network(settings, engine)
    return engine, ours


def check_network(settings: Settings, engine: DockerEngine) -> None:
    """Refuse a TARGET_NETWORK that is not there."""
    name = settings.target_network
    if name and engine.network(name) is None:
        raise SettingError(f"TARGET_NETWORK {name!r} does not exist", fix="docker network ls")


def prepare(settings: Settings, engine: DockerEngine, environ: Mapping[str, str], say: Console) -> Prepared:
    """Build the images, then learn what only they tell: whether the files run, where they aim, whose the socket is."""
    write_env_file(settings)
    secrets.write(settings)
    inputs = images.all_hashes(settings)
    decided = Decided(inputs=inputs, locust_image=settings.locust_image)
    with say.step("images", "looking for what changed") as step:
        wanted = [key for key in ("locust", "monitor", "docker-proxy") if key != "locust" or not settings.locust_image]
        if settings.mock or target.is_mock(settings.host) or _names_the_mock(settings):
            wanted.append("mock-target")
        built = build(settings, engine, decided, wanted, environ, say)
        locust_image = with_requirements(settings, engine, environ, say)
        step.result = f"built {', '.join(built)}" if built else "up to date"
    decided = Decided(inputs=inputs, locust_image=locust_image)
    checked = check_in_image(settings, engine, locust_image, say)
    goal = decide_target(settings, checked)
    if goal.mock and "mock-target" not in wanted:
        with say.step("images", "building the mock target"):
            build(settings, engine, decided, ["mock-target"], environ, say)
    proxy = images.IMAGES["docker-proxy"]
    about = engine.image(proxy.name) or {}
    user = proxy_user.find(
        settings.state_dir / "state" / "proxy-user.json", engine.socket_path, proxy.name, str(about.get("Id", ""))
    )
    return Prepared(Decided(goal.host, goal.mock, locust_image, user, inputs), goal, checked, bool(built))


def _names_the_mock(settings: Settings) -> bool:
    """A guess from the text, so that the mock target is built beside the others and not after them."""
    return any(b"mock-target" in path.read_bytes() for path in locustfile.sources(settings))


def build(
    settings: Settings,
    engine: DockerEngine,
    decided: Decided,
    wanted: list[str],
    environ: Mapping[str, str],
    say: Console,
) -> list[str]:
    """Build those of the wanted images that are missing or of other inputs; their keys."""
    old = images.stale(engine, decided.inputs, wanted)
    if old:
        if not say.is_terminal:
            say.note(f"building {', '.join(image.key for image in old)} …")
        compose = workspace.compose_for(settings, Decided(inputs=decided.inputs), environ)
        images.build(compose, old, settings.state_dir / "build.log", say)
    return [image.key for image in old]


def with_requirements(settings: Settings, engine: DockerEngine, environ: Mapping[str, str], say: Console) -> str:
    """The Locust image to use, with the user's requirements.txt built in when there is one."""
    base = settings.locust_image or images.IMAGES["locust"].name
    tag = requirements_image(settings, engine)
    if not tag:
        return base
    if engine.image(tag) is None:
        images.build_requirements(settings, environ, base, tag, say)
    return tag


def requirements_image(settings: Settings, engine: DockerEngine) -> str:
    """The name that the image with the user's requirements.txt has or would have; "" without such a file."""
    requirements = settings.locustfiles_dir / "requirements.txt"
    if not requirements.is_file():
        return ""
    base = settings.locust_image or images.IMAGES["locust"].name
    return images.requirements_tag(requirements, str((engine.image(base) or {}).get("Id", "")))


def check_in_image(settings: Settings, engine: DockerEngine, image: str, say: Console) -> check.Checked:
    """Let Locust itself load the user's files, unless it did so with these very files and this image."""
    image_id = str((engine.image(image) or {}).get("Id", ""))
    with say.step("locustfile", f"loading {settings.locustfile}") as step:
        checked, known = check.check(settings, image, image_id, workspace.user_env(settings))
        _check_classes(settings, checked)
        names = ", ".join(user_class.name for user_class in checked.user_classes)
        shape = f", shape {checked.shape_class}" if checked.shape_class else ""
        step.result = f"{settings.locustfile}: {names}{shape}" + (" (unchanged)" if known else "")
    return checked


def _check_classes(settings: Settings, checked: check.Checked) -> None:
    there = [user_class.name for user_class in checked.user_classes]
    for name in settings.classes:
        if name not in there:
            raise SettingError(
                f"CLASSES names {name!r}, which {settings.locustfile} does not have",
                wanted=f"some of {', '.join(there)}",
            )


def decide_target(settings: Settings, checked: check.Checked) -> target.Target:
    """Where the load of this stack goes."""
    taking_part = [
        user_class for user_class in checked.user_classes if not settings.classes or user_class.name in settings.classes
    ]
    env = {**workspace.user_env(settings), **settings.passthrough}
    return target.decide(settings.host, mock=settings.mock, user_env=env, classes=taking_part)


def memory_note(settings: Settings, total: int) -> str:
    """Limits beyond the `total` bytes that Docker has (0 = unknown) are allowed, since a limit is not a use.

    They are worth a line, which this returns; "" when there is nothing to say.
    """
    limits = settings.workers * settings.worker_memory + settings.master_memory
    if not total or limits <= total:
        return ""
    has = f"Docker has {total / _GIB:.1f} GiB"
    for name, limit in (("WORKER_MEMORY", settings.worker_memory), ("MASTER_MEMORY", settings.master_memory)):
        if limit > total:
            return f"note: {name} is {limit / _GIB:.1f} GiB, {has}: this limit never takes effect"
    return f"note: the memory limits add up to {limits / _GIB:.1f} GiB, {has}; that is fine while real use stays below"


def remember(settings: Settings, prepared: Prepared) -> None:
    """Write down what was decided, for the verbs that follow."""
    decided = prepared.decided
    state.write(
        state.path_of(settings.root, settings.project),
        {
            "choices": state.choices(settings),
            "decided": {
                "host": decided.host,
                "mock": decided.mock,
                "locust_image": decided.locust_image,
                "proxy_user": decided.proxy_user,
                "inputs": dict(decided.inputs),
                "target": prepared.target.shown,
                **prepared.checked.as_json(),
            },
        },
    )


def _start(
    settings: Settings, compose: Compose, containers: tuple[ListedContainer, ...], decided: Decided, say: Console
) -> None:
    before = {container.id for container in containers if container.state == "running"}
    with say.step("stack", "starting the containers") as step:
        if not decided.mock and any(container.service == "mock-target" for container in containers):
            compose.run("--profile", "mock", "rm", "--stop", "--force", "mock-target")
        if not settings.remote_workers:
            _close(containers)
        try:
            compose.run("up", "--detach", "--no-build", "--scale", f"locust-worker={settings.workers}")
        except StackError as error:
            raise half_up(error, settings) from None
        step.result = "already running" if before else "started"


def _close(containers: tuple[ListedContainer, ...]) -> None:
    """End a gate that an earlier `up` was told to open: this one's files do not know of it."""
    gates = [container.id for container in containers if container.service == remote.GATE]
    if gates:
        docker("rm", "--force", *gates)


def half_up(error: StackError, settings: Settings) -> StackError:
    """The same error for a stack of which some containers may run already: `down` comes before any other mend."""
    then = f", then {error.fix}" if error.fix else ""
    fix = f"make down{settings.project_word}{then}"
    return StackError(error.what, wanted=error.wanted, where=error.where, fix=fix)
