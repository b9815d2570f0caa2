"""Run `swarm-up`: from settings to workers on many nodes. All checks come first, then the changes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sidecar.commands import up
from sidecar.common.console import Console
from sidecar.common.errors import SettingError, StackError
from sidecar.common.units import gibibytes, plural
from sidecar.engine.docker_engine import DockerEngine, connect
from sidecar.engine.swarm_manager import Manager, SwarmState
from sidecar.settings import Settings, locust_options
from sidecar.stack import image_users, locustfile, requirements, state, workspace
from sidecar.stack.compose import Decided
from sidecar.stack.deployment import locate
from sidecar.stack.registered import Clock
from sidecar.swarm import files, images, stack, waiting
from sidecar.swarm.images import Way
from sidecar.swarm.stack import Content


def swarm_up(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Start the stack on the Swarm, or update a running one.

    Raises:
        KitError: invalid input (nothing was started then), or the stack did not start.

    """
    began = time.monotonic()
    _refuse_what_a_cluster_cannot(settings)
    up.refuse_options(settings, environ)
    sources = locustfile.sources(settings)
    locustfile.check(sources, settings.locustfiles_dir)
    locustfile.check_tls(settings)
    requirements.read(settings)
    archive, mark, left_out = files.pack(settings, sources)
    for note in left_out:
        console.note(note)
    engine = connect(environ)
    manager = Manager(engine)
    manager.check()
    fleet = manager.fleet(settings.project)
    _check_room(settings, fleet)
    ways = {} if settings.registry else images.ways_to(settings, fleet.nodes, manager.own_node())
    prepared = up.prepare(settings, engine, environ, console, is_swarm=True)
    names = _images_to_nodes(settings, engine, prepared.decided, ways, console)
    image_users.record(engine, settings, names.values())
    _remember(settings, prepared, names)
    with console.step("stack", "deploying to the nodes") as step:
        env = stack.environment(settings, prepared.decided, Content(names, archive, mark), environ)
        stack.deploy(settings, env)
        stack.put_images_right(settings, manager.fleet(settings.project), names)
        step.result = "updated" if fleet.services else "deployed"
    with console.step("workers", "waiting for the workers to register at the master") as step:
        step.result = waiting.wait(manager, settings, workspace.expected_workers(settings), Clock())
    stack.remove_replaced(settings)
    _banner(settings, prepared.target.shown, manager.fleet(settings.project), time.monotonic() - began, console)


def _refuse_what_a_cluster_cannot(settings: Settings) -> None:
    """Reject settings that name one machine."""
    for name, value in (
        ("TARGET_NETWORK", settings.target_network),
        ("WATCH_PROJECT", settings.watch_project),
        ("REMOTE_WORKERS", settings.remote_workers),
    ):
        if value:
            raise SettingError(
                f"{name} is {value!r}",
                wanted="no value, because it names something on one machine and a Swarm has many",
            )
    if locust_options.processes(settings.unasked) < 0:
        wanted = "a number, because the nodes of a Swarm can have different numbers of CPU cores"
        raise SettingError("LOCUST_PROCESSES is -1", wanted=wanted)


def _check_room(settings: Settings, fleet: SwarmState) -> None:
    """Reject reservations that can never fit on the nodes. Swarm reports reservations that do not fit now."""
    able = [node for node in fleet.nodes if node.takes_tasks]
    if not able:
        raise StackError("no node of this Swarm takes tasks; all nodes are down or drained", fix="docker node ls")
    if settings.swarm_master_node and settings.swarm_master_node not in {node.name for node in able}:
        names = ", ".join(node.name for node in able)
        raise SettingError(f"SWARM_MASTER_NODE is {settings.swarm_master_node!r}", wanted=f"one of {names}")
    largest = max(able, key=lambda node: node.memory_bytes)
    if settings.worker_memory_reservation > largest.memory_bytes > 0:
        raise SettingError(
            f"WORKER_MEMORY_RESERVATION is {gibibytes(settings.worker_memory_reservation)}",
            wanted=f"at most the {gibibytes(largest.memory_bytes)} of the largest node ({largest.name})",
        )
    room = sum(node.memory_bytes // max(1, settings.worker_memory_reservation) for node in able)
    if settings.workers > room:
        raise SettingError(
            f"{plural(settings.workers, 'worker')} do not fit on {plural(len(able), 'node')} with"
            f" {gibibytes(settings.worker_memory_reservation, 2)} reserved for each",
            wanted=f"at most {plural(room, 'worker')}, or a smaller WORKER_MEMORY_RESERVATION",
        )


def _images_to_nodes(
    settings: Settings, engine: DockerEngine, decided: Decided, ways: Mapping[str, Way], console: Console
) -> dict[str, str]:
    names = images.names(settings, engine, decided.locust_image)
    with console.step("nodes", "copying the images to the nodes") as step:
        if settings.registry:
            ours = sorted(
                set(names.values()) - {settings.locust_image}
            )  # the user's own image is in a registry already
            images.push(ours)
            step.result = f"pushed {plural(len(ours), 'image')} to {settings.registry}"
        else:
            carried = images.carry(sorted(set(names.values())), ways)
            step.result = f"images loaded on {plural(carried, 'node')}" if carried else "every node has the images"
    return names


def _remember(settings: Settings, prepared: up.Prepared, names: Mapping[str, str]) -> None:
    up.remember(settings, prepared)
    path = state.path_of(settings.root, settings.project)
    state.write(path, {**state.read(path), "swarm": {"images": dict(names)}})


def _banner(settings: Settings, target: str, fleet: SwarmState, seconds: float, console: Console) -> None:
    place = locate(settings)
    count = plural(settings.workers, "worker")
    nodes, project = plural(len(fleet.nodes), "node"), settings.project_word
    for line in (
        "",
        f"Ready in {seconds:.1f} s: stack {settings.project!r}, {count} on {nodes}, target {target}",
        "",
        f"  Locust     http://{place.host}:{settings.web_port}/   on {place.node}",
        f"  Monitor    http://{place.host}:{settings.monitor_port}/?token={place.token}",
        "",
        f"  Both pages are reachable on every address of {place.node}. The monitor asks for its token. Locust's page",
        "  asks for nothing unless LOCUST_WEB_LOGIN is set, so block it with a firewall.",
        "",
        "  Next:",
        f"  make run{project} USERS=50 RUN_TIME=1m   one run, one verdict",
        f"  make swarm-monitor{project}              the live view of all nodes",
        f"  make swarm-scale{project} WORKERS=20     another number of workers",
    ):
        console.line(line)
