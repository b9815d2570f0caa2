"""`swarm-up`: from settings to N workers over many nodes. First everything that can be refused, then the acts."""

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
from sidecar.stack import locustfile, requirements, state, workspace
from sidecar.stack.compose import Decided
from sidecar.stack.deployment import locate
from sidecar.stack.registered import Clock
from sidecar.swarm import files, images, stack, waiting
from sidecar.swarm.images import Way
from sidecar.swarm.stack import Content


def swarm_up(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Bring the stack up on the Swarm, or to the wanted shape when it is up already.

    Raises:
        KitError: bad input (nothing was started then), or the stack did not come up.

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
    """Refuse settings that mean one machine only."""
    for name, value in (
        ("TARGET_NETWORK", settings.target_network),
        ("WATCH_PROJECT", settings.watch_project),
        ("REMOTE_WORKERS", settings.remote_workers),
    ):
        if value:
            raise SettingError(f"{name} is {value!r}", wanted="nothing: in a Swarm it means no particular machine")
    if locust_options.processes(settings.unasked) < 0:
        wanted = "a number: the nodes of a Swarm need not have equally many cores"
        raise SettingError("LOCUST_PROCESSES is -1", wanted=wanted)


def _check_room(settings: Settings, fleet: SwarmState) -> None:
    """Refuse reservations that no node can ever hold; that they add up to too much, Swarm says of each task."""
    able = [node for node in fleet.nodes if node.takes_tasks]
    if not able:
        raise StackError("no node of this Swarm takes tasks: all are down or drained", fix="docker node ls")
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
            f"{settings.workers} workers, each of which reserves {gibibytes(settings.worker_memory_reservation, 2)},"
            f" do not fit on {len(able)} nodes",
            wanted=f"at most {room} workers, or a smaller WORKER_MEMORY_RESERVATION",
        )


def _images_to_nodes(
    settings: Settings, engine: DockerEngine, decided: Decided, ways: Mapping[str, Way], console: Console
) -> dict[str, str]:
    names = images.names(settings, engine, decided.locust_image)
    with console.step("nodes", "bringing the images to the nodes") as step:
        if settings.registry:
            ours = sorted(set(names.values()) - {settings.locust_image})  # the user's own has a home already
            images.push(ours)
            step.result = f"pushed {len(ours)} images to {settings.registry}"
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
    project = settings.project_word
    for line in (
        "",
        f"Ready in {seconds:.1f} s: stack {settings.project!r}, {count} on {len(fleet.nodes)} nodes, target {target}",
        "",
        f"  Locust     http://{place.host}:{settings.web_port}/   on {place.node}",
        f"  Monitor    http://{place.host}:{settings.monitor_port}/?token={place.token}",
        "",
        f"  Both are open on every address of {place.node}. The monitor asks for its token; Locust's page asks for",
        "  nothing unless LOCUST_WEB_LOGIN is set: let a firewall keep strangers from it.",
        "",
        "  Next:",
        f"  make run{project} USERS=50 RUN_TIME=1m   one run, one verdict",
        f"  make swarm-monitor{project}              the live view of all nodes",
        f"  make swarm-scale{project} WORKERS=20     another number of workers",
    ):
        console.line(line)
