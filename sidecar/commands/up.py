"""`up`: from settings to N workers registered at the master. First everything that can be refused, then the acts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sidecar.commands import plan
from sidecar.commands.down import act
from sidecar.common.console import Console
from sidecar.common.errors import SettingError, StackError
from sidecar.common.units import gibibytes, plural
from sidecar.engine.docker_engine import DockerEngine, EngineAbsentError, ListedContainer, connect
from sidecar.settings import Settings, locust_options
from sidecar.stack import (
    as_decided,
    check,
    deployment,
    images,
    locustfile,
    ports,
    proxy_user,
    remote,
    requirements,
    secrets,
    state,
    target,
    temporary,
    workspace,
)
from sidecar.stack.compose import Compose, Decided, write_env_file
from sidecar.stack.registered import WorkerWait


@dataclass(frozen=True)
class Prepared:
    """What is known once nothing is left to refuse."""

    decided: Decided
    target: target.Target
    checked: check.Checked
    built: bool


def up_or_set_up(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Bring the stack up. Without Docker nothing is installed, unless the person at the terminal agrees."""
    try:
        up(settings, environ, console)
    except EngineAbsentError as error:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise
        print(f"kit up: {error.what}.")
        if input("Run `make setup` now? [y/N] ").strip().lower() not in ("y", "yes"):
            raise
        code = subprocess.run([str(settings.root / "scripts" / "setup")], check=False).returncode
        if code:
            return code
        up(settings, environ, console)
    return 0


def up(settings: Settings, environ: Mapping[str, str], console: Console, *, quiet_end: bool = False) -> None:
    """Bring the stack up, or to the wanted shape when it is up already; `quiet_end` leaves the banner out.

    Raises:
        KitError: bad input (nothing was started then), or the stack did not come up.

    """
    began = time.monotonic()
    engine, containers = _pre_flight(settings, environ)
    prepared = prepare(settings, engine, environ, console)
    compose = workspace.compose_for(settings, prepared.decided, environ)
    for note in (defaults_note(settings), memory_note(settings, int(engine.info().get("MemTotal") or 0))):
        if note:
            console.note(note)
    remember(settings, prepared)
    _start(settings, compose, containers, prepared.decided, console)
    as_decided.remember(engine, settings)
    wait_for_workers(settings, engine, workspace.expected_workers(settings), console)
    if prepared.built:
        engine.remove_replaced_images()
    if not quiet_end:
        seconds = time.monotonic() - began
        lines = banner(settings, prepared.target.shown, workspace.web_for(settings).url, seconds, environ)
        for line in [*lines, *remote.lines(settings, mock=prepared.decided.mock)]:
            console.line(line)


def _pre_flight(settings: Settings, environ: Mapping[str, str]) -> tuple[DockerEngine, tuple[ListedContainer, ...]]:
    """Refuse what can be refused in a few milliseconds."""
    deployment.refuse(settings, "make swarm-up, or a PROJECT of another name, or first: make swarm-down")
    refuse_options(settings, environ)
    locustfile.check(locustfile.sources(settings), settings.locustfiles_dir)
    locustfile.check_tls(settings)
    requirements.read(settings)
    engine = connect(environ)
    containers = engine.containers()
    ours = tuple(container for container in containers if container.project == settings.project)
    workspace.refuse_foreign(ours, settings)
    ports.check(settings, containers)
    remote.check(settings, containers)
    check_network(settings, engine)
    return engine, ours


def refuse_options(settings: Settings, environ: Mapping[str, str]) -> None:
    """Refuse what Locust would read unasked and the stack cannot be.

    Raises:
        SettingError: such an option, or a file that cannot be read.

    """
    locust_options.refuse(locust_options.read(settings.root, settings.locustfiles_dir, environ))


def defaults_note(settings: Settings) -> str:
    """Return which settings are what Locust's own files say, and where; "" for none."""
    sources = {option.source for option in settings.unasked}
    taken = [
        f"{name}={entry.raw} ({entry.source})" for name, entry in settings.given.items() if entry.source in sources
    ]
    return f"as Locust's own files say: {', '.join(taken)}" if taken else ""


def processes_of(settings: Settings, engine: DockerEngine) -> int:
    """Return how many Locust processes each worker container is to have; -1 is one for each core of the engine."""
    asked = locust_options.processes(settings.unasked)
    return asked if asked > 0 else max(1, int(engine.info().get("NCPU") or 1))


def check_network(settings: Settings, engine: DockerEngine) -> None:
    """Refuse a TARGET_NETWORK that is not there."""
    name = settings.target_network
    if name and engine.network(name) is None:
        raise SettingError(f"TARGET_NETWORK {name!r} does not exist", fix="docker network ls")


def prepare(
    settings: Settings, engine: DockerEngine, environ: Mapping[str, str], console: Console, *, is_swarm: bool = False
) -> Prepared:
    """Build the images, then learn what only they tell: whether the files run, where they aim, whose the socket is."""
    write_env_file(settings)
    secrets.write(settings)
    builder = ImageBuilder(settings, engine, environ, console, images.all_hashes(settings))
    wanted = ["locust", "monitor", "docker-proxy"]
    likely = may_need_mock(settings)
    if likely:
        wanted.append("mock-target")
    locust_image, built = builder.locust_and(wanted)
    mock = None
    if likely and not is_swarm:
        mock = workspace.compose_for(settings, Decided(mock=True, inputs=builder.inputs), environ)
    with temporary.removed_afterwards(settings, engine, mock) as keep:
        checked = check_in_image(settings, engine, locust_image, console, mock)
        destination = decide_target(settings, checked)
        if destination.mock:
            keep()
    if destination.mock and "mock-target" not in wanted:
        with console.step("images", "building the mock target"):
            builder.build(["mock-target"])
    proxy = images.IMAGES["docker-proxy"]
    about = engine.image(proxy.name) or {}
    user = proxy_user.find(
        settings.state_dir / "state" / "proxy-user.json", engine.socket_path, proxy.name, str(about.get("Id", ""))
    )
    decided = Decided(
        destination.host,
        destination.mock,
        locust_image,
        user,
        builder.inputs,
        processes=processes_of(settings, engine),
    )
    return Prepared(decided, destination, checked, built)


@dataclass(frozen=True)
class ImageBuilder:
    """Builds the images of a stack that are missing or of other inputs; `inputs` are the hashes of today's, by key."""

    settings: Settings
    engine: DockerEngine
    environ: Mapping[str, str]
    console: Console
    inputs: Mapping[str, str]

    def locust_and(self, wanted: list[str]) -> tuple[str, bool]:
        """Build what is old of the wanted images; return the Locust image to use, and whether any was built."""
        ours = [key for key in wanted if key != "locust" or not self.settings.locust_image]
        with self.console.step("images", "looking for what changed") as step:
            built = self.build(ours)
            locust_image = self.with_requirements()
            step.result = f"built {', '.join(built)}" if built else "up to date"
        return locust_image, bool(built)

    def build(self, wanted: list[str]) -> list[str]:
        """Build those of the wanted images that are old; return their keys."""
        old = images.stale(self.engine, self.inputs, wanted)
        if old and not self.console.is_terminal:
            self.console.note(f"building {', '.join(image.key for image in old)} …")
        self.build_all(old)
        return [image.key for image in old]

    def build_all(self, chosen: Sequence[images.Image]) -> None:
        """Build these images side by side."""
        if chosen:
            compose = workspace.compose_for(self.settings, Decided(inputs=self.inputs), self.environ)
            images.build(compose, chosen, self.settings.state_dir / "build.log", self.console)

    def with_requirements(self) -> str:
        """Return the Locust image to use, with the user's requirements.txt built in when there is one."""
        base = self.settings.locust_image or images.IMAGES["locust"].name
        asked = requirements.read(self.settings)
        tag = _tag(self.settings, self.engine, asked)
        if asked and self.engine.image(tag) is None:
            images.build_requirements(self.settings, self.environ, asked, base, tag, self.console)
        return tag or base


def may_need_mock(settings: Settings) -> bool:
    """Guess from the text, so that the mock target is built beside the others, and there when the files are checked."""
    if settings.host or settings.mock:
        return settings.mock or target.is_mock(settings.host)
    return any(b"mock-target" in path.read_bytes() for path in locustfile.sources(settings))


def requirements_image(settings: Settings, engine: DockerEngine) -> str:
    """Return the name that the image with the user's requirements.txt has or would have; "" without such a file."""
    return _tag(settings, engine, requirements.read(settings))


def _tag(settings: Settings, engine: DockerEngine, asked: requirements.Requirements | None) -> str:
    base = settings.locust_image or images.IMAGES["locust"].name
    return images.requirements_tag(asked, str((engine.image(base) or {}).get("Id", ""))) if asked else ""


def check_in_image(
    settings: Settings, engine: DockerEngine, image: str, console: Console, mock: Compose | None = None
) -> check.Checked:
    """Let Locust itself load the user's files, unless it did so with these very files and this image.

    They reach what the workers reach; `mock` is the project whose mock target is to be there.
    """

    def networks() -> list[str]:
        if mock:
            mock.run("up", "--detach", "--no-build", "--no-recreate", "--wait", "mock-target")
        names = filter(None, (f"{settings.project}_default", settings.target_network))
        found = {name: engine.network(name) or {} for name in names}
        return [name for name, about in found.items() if about.get("Scope") == "local" or about.get("Attachable")]

    image_id = str((engine.image(image) or {}).get("Id", ""))
    with console.step("locustfile", f"loading {settings.locustfile}") as step:
        checked, known = check.check(settings, image, image_id, workspace.user_env(settings), networks)
        classes = [user_class.name for user_class in checked.user_classes]
        plan.refuse_unknown("CLASSES", settings.classes, classes, settings.locustfile)
        shape = _shape(settings, checked.shapes)
        step.result = f"{settings.locustfile}: {', '.join(classes)}{shape}" + (" (unchanged)" if known else "")
    for warning in checked.warnings:
        console.note(warning.shown)
    return checked


def _shape(settings: Settings, shapes: Sequence[str]) -> str:
    """Return which load shape runs take, in words, and that others are there; "" where there is none."""
    name = settings.shape or next(iter(shapes), "")
    if settings.shape:
        plan.refuse_unknown("SHAPE", (name,), (*shapes, plan.NO_SHAPE), settings.locustfile)
    others = ", ".join(other for other in (*shapes, plan.NO_SHAPE) if other != name)
    return f", shape {name} (or SHAPE={others})" if len(shapes) > 1 else f", shape {name}" if shapes else ""


def decide_target(settings: Settings, checked: check.Checked) -> target.Target:
    """Decide where the load of this stack goes."""
    taking_part = [
        user_class for user_class in checked.user_classes if not settings.classes or user_class.name in settings.classes
    ]
    option = locust_options.last(settings.unasked, "host")
    return target.decide(
        settings.host,
        mock=settings.mock,
        user_env=workspace.locust_env(settings),
        classes=taking_part,
        web_port=settings.web_port,
        source=option.source if option else ".env",
    )


def memory_note(settings: Settings, total: int) -> str:
    """Limits beyond the `total` bytes that Docker has (0 = unknown) are allowed, since a limit is not a use.

    They are worth a line, which this returns; "" when there is nothing to say.
    """
    limits = settings.workers * settings.worker_memory + settings.master_memory
    if not total or limits <= total:
        return ""
    has = f"Docker has {gibibytes(total)}"
    for name, limit in (("WORKER_MEMORY", settings.worker_memory), ("MASTER_MEMORY", settings.master_memory)):
        if limit > total:
            return f"note: {name} is {gibibytes(limit)}, {has}: this limit never takes effect"
    return f"note: the memory limits add up to {gibibytes(limits)}, {has}; that is fine while real use stays below"


def remember(settings: Settings, prepared: Prepared) -> None:
    """Write down what was decided, for the verbs that follow."""
    state.remember(settings, prepared.decided, target=prepared.target.shown, **asdict(prepared.checked))


def wait_for_workers(
    settings: Settings,
    engine: DockerEngine,
    wanted: int,
    console: Console,
    doing: str = "waiting for the workers to register at the master",
) -> None:
    """Wait until the master counts so many workers."""
    with console.step("workers", doing) as step:
        step.result = WorkerWait(engine, settings.project, console).registered(
            workspace.web_for(settings), wanted, others=bool(settings.remote_workers)
        )


def _start(
    settings: Settings, compose: Compose, containers: tuple[ListedContainer, ...], decided: Decided, console: Console
) -> None:
    before = {container.id for container in containers if container.state == "running"}
    with console.step("stack", "starting the containers") as step:
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
        act("rm", "--force", *gates)


def half_up(error: StackError, settings: Settings) -> StackError:
    """Return the same error for a stack of which some containers may already run: `down` comes first."""
    then = f", then {error.fix}" if error.fix else ""
    fix = f"make down{settings.project_word}{then}"
    return StackError(error.what, wanted=error.wanted, where=error.where, fix=fix)


def banner(settings: Settings, target: str, web_url: str, seconds: float, environ: Mapping[str, str]) -> list[str]:
    """Return what `up` says at its end: where everything is, and what to do next."""
    tail = settings.project_word
    each = workspace.processes(settings)
    containers = f" in {plural(settings.workers, 'container')}" if each > 1 else ""
    count = f"{plural(settings.workers * each, 'worker')}{containers}"
    lines = [
        "",
        f"Ready in {seconds:.1f} s: stack {settings.project!r}, {count}, target {target}",
        "",
        f"  Locust     {web_url}",
        f"  Monitor    http://127.0.0.1:{settings.monitor_port}/",
    ]
    if environ.get("SSH_CONNECTION"):
        lines += ["", "  From your own machine, first:", f"  {ssh_line(settings, environ)}"]
    next_commands = [
        (f"make run{tail} USERS=50 RUN_TIME=1m", "one run, one verdict"),
        (f"make monitor{tail}", "the live view"),
        (f"make reload{tail}", "after editing the locustfile"),
    ]
    width = max(len(command) for command, _ in next_commands)
    return [*lines, "", "  Next:", *(f"  {command:<{width}}   {why}" for command, why in next_commands)]


def ssh_line(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the command that brings both pages to the machine at the other end of this SSH session."""
    parts = environ.get("SSH_CONNECTION", "").split()
    here = parts[2] if len(parts) >= 4 else "<this machine>"  # noqa: PLR2004  client, its port, server, its port
    port = f" -p {parts[3]}" if len(parts) >= 4 and parts[3] != "22" else ""  # noqa: PLR2004  the same
    user = environ.get("USER") or environ.get("LOGNAME") or "<user>"
    forwards = " ".join(f"-L {number}:127.0.0.1:{number}" for number in (settings.web_port, settings.monitor_port))
    return f"ssh{port} {forwards} {user}@{here}"
