"""`up`: start N workers that register at the master. First come all checks, then the changes."""

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
    image_users,
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
    """The result of all checks."""

    decided: Decided
    target: target.Target
    checked: check.Checked
    built: bool


def up_or_set_up(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Start the stack. If Docker is missing, ask the person at the terminal before anything is installed."""
    try:
        up(settings, environ, console)
    except EngineAbsentError as error:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise
        print(f"kit up: {error.what}.")
        if input("Run `make setup` now? [y/N] ").strip().lower() not in ("y", "yes"):
            raise
        # With the usual umask, because packages that it installs are for all users.
        code = subprocess.run([str(settings.root / "scripts" / "setup")], check=False, umask=0o022).returncode
        if code:
            return code
        up(settings, environ, console)
    return 0


def up(settings: Settings, environ: Mapping[str, str], console: Console, *, quiet_end: bool = False) -> None:
    """Start the stack, or change a running one; `quiet_end` omits the banner.

    Raises:
        KitError: wrong input (nothing was started then), or the stack did not start.

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
        for line in [*lines, *_network_lines(settings), *remote.lines(settings, mock=prepared.decided.mock)]:
            console.line(line)


def _pre_flight(settings: Settings, environ: Mapping[str, str]) -> tuple[DockerEngine, tuple[ListedContainer, ...]]:
    """Run all checks that take a few milliseconds."""
    deployment.refuse(settings, "make swarm-up, or use another PROJECT, or first make swarm-down")
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
    """Refuse options in Locust's own files that contradict the stack.

    Raises:
        SettingError: there is such an option, or a file cannot be read.

    """
    locust_options.refuse(locust_options.read(settings.root, settings.locustfiles_dir, environ))


def defaults_note(settings: Settings) -> str:
    """Return the settings that come from Locust's own files, with their places; "" without any."""
    sources = {option.source for option in settings.unasked}
    taken = [
        f"{name}={entry.raw} ({entry.source})" for name, entry in settings.given.items() if entry.source in sources
    ]
    return f"settings from Locust's own files: {', '.join(taken)}" if taken else ""


def processes_of(settings: Settings, engine: DockerEngine) -> int:
    """Return the number of Locust processes per worker container; -1 means one per core of the engine."""
    asked = locust_options.processes(settings.unasked)
    return asked if asked > 0 else max(1, int(engine.info().get("NCPU") or 1))


def check_network(settings: Settings, engine: DockerEngine) -> None:
    """Refuse a TARGET_NETWORK that does not exist."""
    name = settings.target_network
    if name and engine.network(name) is None:
        raise SettingError(f"TARGET_NETWORK {name!r} does not exist", fix="docker network ls")


def _network_lines(settings: Settings) -> list[str]:
    """Return the text about a master in the target's network."""
    if not (settings.target_network and settings.target_network_master):
        return []
    who = f"every container in {settings.target_network!r} can open Locust's page, start and stop runs"
    return ["", f"  TARGET_NETWORK_MASTER=1: {who}, and join as a worker."]


def prepare(
    settings: Settings, engine: DockerEngine, environ: Mapping[str, str], console: Console, *, is_swarm: bool = False
) -> Prepared:
    """Build the images, then use them to check the files, the target, and the owner of the socket."""
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
    """Builds the images of a stack that are missing or outdated; `inputs` are the current hashes, by key."""

    settings: Settings
    engine: DockerEngine
    environ: Mapping[str, str]
    console: Console
    inputs: Mapping[str, str]

    def locust_and(self, wanted: list[str]) -> tuple[str, bool]:
        """Build the outdated images among `wanted`; return the Locust image to use, and whether any was built."""
        ours = [key for key in wanted if key != "locust" or not self.settings.locust_image]
        with self.console.step("images", "looking for changes") as step:
            built = self.build(ours)
            locust_image = self.with_requirements()
            step.result = f"built {', '.join(built)}" if built else "up to date"
        return locust_image, bool(built)

    def build(self, wanted: list[str]) -> list[str]:
        """Build the outdated images among `wanted`; return their keys."""
        image_users.record(self.engine, self.settings, (images.IMAGES[key].name for key in wanted))
        old = images.stale(self.engine, self.inputs, wanted)
        if old and not self.console.is_terminal:
            self.console.note(f"building {', '.join(image.key for image in old)} …")
        self.build_all(old)
        return [image.key for image in old]

    def build_all(self, chosen: Sequence[images.Image]) -> None:
        """Build these images in parallel."""
        if chosen:
            compose = workspace.compose_for(self.settings, Decided(inputs=self.inputs), self.environ)
            images.build(compose, chosen, self.settings.state_dir / "build.log", self.console)

    def with_requirements(self) -> str:
        """Return the Locust image to use, with the user's requirements.txt if there is one."""
        base = self.settings.locust_image or images.IMAGES["locust"].name
        asked = requirements.read(self.settings)
        tag = _tag(self.settings, self.engine, asked)
        image_users.record(self.engine, self.settings, (base, tag))
        if asked and self.engine.image(tag) is None:
            if asked.note:
                self.console.rewrite()
                self.console.note(asked.note)
            images.build_requirements(self.settings, self.environ, asked, base, tag, self.console)
        return tag or base


def may_need_mock(settings: Settings) -> bool:
    """Guess from the text, so that the mock target is built with the other images, before the files are checked."""
    if settings.host or settings.mock:
        return settings.mock or target.is_mock(settings.host)
    return any(b"mock-target" in path.read_bytes() for path in locustfile.sources(settings))


def requirements_image(settings: Settings, engine: DockerEngine) -> str:
    """Return the name of the image with the user's requirements.txt; "" without such a file."""
    return _tag(settings, engine, requirements.read(settings))


def _tag(settings: Settings, engine: DockerEngine, asked: requirements.Requirements | None) -> str:
    base = settings.locust_image or images.IMAGES["locust"].name
    return images.requirements_tag(asked, str((engine.image(base) or {}).get("Id", ""))) if asked else ""


def check_in_image(
    settings: Settings, engine: DockerEngine, image: str, console: Console, mock: Compose | None = None
) -> check.Checked:
    """Let Locust itself load the user's files, unless it did so before with the same files and image.

    The files reach the same networks as the workers; `mock` is the project whose mock target must run.
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
    """Return a text about the load shape of runs, and the other shapes; "" without a shape."""
    name = settings.shape or next(iter(shapes), "")
    if settings.shape:
        plan.refuse_unknown("SHAPE", (name,), (*shapes, plan.NO_SHAPE), settings.locustfile)
    others = ", ".join(other for other in (*shapes, plan.NO_SHAPE) if other != name)
    return f", shape {name} (or SHAPE={others})" if len(shapes) > 1 else f", shape {name}" if shapes else ""


def decide_target(settings: Settings, checked: check.Checked) -> target.Target:
    """Decide the target of this stack."""
    taking_part = [
        user_class for user_class in checked.user_classes if not settings.classes or user_class.name in settings.classes
    ]
    option = locust_options.last(settings.unasked, "host")
    source = option.source if option else ".env"
    decided = target.decide(
        settings.host,
        mock=settings.mock,
        user_env=workspace.locust_env(settings),
        classes=taking_part,
        web_port=settings.web_port,
        source=source,
    )
    given = f"HOST, {settings.source('HOST')}" if settings.host else source
    own = ((user_class.host or "", f"class {user_class.name}") for user_class in taking_part)
    target.refuse_others(settings, [(decided.host, given)] if decided.host else own)
    return decided


def memory_note(settings: Settings, total: int) -> str:
    """Return a note about limits above the `total` bytes of Docker (0 = unknown); "" if there is nothing to note.

    Such limits are allowed, because a limit is not a use.
    """
    limits = settings.workers * settings.worker_memory + settings.master_memory
    if not total or limits <= total:
        return ""
    has = f"Docker has {gibibytes(total)}"
    for name, limit in (("WORKER_MEMORY", settings.worker_memory), ("MASTER_MEMORY", settings.master_memory)):
        if limit > total:
            return f"note: {name} is {gibibytes(limit)}, but {has}, so this limit never takes effect"
    return f"note: the memory limits add up to {gibibytes(limits)}, but {has}; this is fine while the use stays below"


def remember(settings: Settings, prepared: Prepared) -> None:
    """Save the decisions for later verbs."""
    state.remember(settings, prepared.decided, target=prepared.target.shown, **asdict(prepared.checked))


def wait_for_workers(
    settings: Settings,
    engine: DockerEngine,
    wanted: int,
    console: Console,
    doing: str = "waiting for the workers to register at the master",
) -> None:
    """Wait until so many workers are registered."""
    with console.step("workers", doing) as step:
        outside = settings.target_network and not settings.target_network_master
        fix = "TARGET_NETWORK_MASTER=1 if the locustfile asks the target while it is imported; else " if outside else ""
        step.result = WorkerWait(engine, settings.project, console, master_fix=fix).registered(
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
    """Remove the gate for remote workers of an earlier `up`, which the files of this `up` do not contain."""
    gates = [container.id for container in containers if container.service == remote.GATE]
    if gates:
        act("rm", "--force", *gates)


def half_up(error: StackError, settings: Settings) -> StackError:
    """Return the same error with `down` as first fix, because some containers may already run."""
    then = f", then {error.fix}" if error.fix else ""
    fix = f"make down{settings.project_word}{then}"
    return StackError(error.what, wanted=error.wanted, where=error.where, fix=fix)


def banner(settings: Settings, target: str, web_url: str, seconds: float, environ: Mapping[str, str]) -> list[str]:
    """Return the banner of `up`: the addresses, and the next commands."""
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
        lines += ["", "  To open these pages on your own machine, run there:", f"  {ssh_line(settings, environ)}"]
    next_commands = [
        (f"make run{tail} USERS=50 RUN_TIME=1m", "start a run, and get its verdict"),
        (f"make monitor{tail}", "show the live view"),
        (f"make reload{tail}", "load an edited locustfile"),
    ]
    width = max(len(command) for command, _ in next_commands)
    return [*lines, "", "  Next:", *(f"  {command:<{width}}   {why}" for command, why in next_commands)]


def ssh_line(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the SSH command that forwards both pages to the client of this SSH session."""
    parts = environ.get("SSH_CONNECTION", "").split()
    here = parts[2] if len(parts) >= 4 else "<this machine>"  # noqa: PLR2004  client, its port, server, its port
    port = f" -p {parts[3]}" if len(parts) >= 4 and parts[3] != "22" else ""  # noqa: PLR2004  the same
    user = environ.get("USER") or environ.get("LOGNAME") or "<user>"
    forwards = " ".join(f"-L {number}:127.0.0.1:{number}" for number in (settings.web_port, settings.monitor_port))
    return f"ssh{port} {forwards} {user}@{here}"
