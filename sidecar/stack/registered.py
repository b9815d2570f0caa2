"""Wait until the master counts the workers it should, and say what is wrong when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.common.errors import StackError
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError, MasterGuardedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecar.common.console import Console
    from sidecar.engine.host_client import HostEngine, ListedContainer

DEADLINE_SECONDS = 90.0
_LOOK_EACH_SECONDS = 0.3
_CONTAINERS_EACH_SECONDS = 2.0
_GIVE_UP_AFTER_LOOKS = 5  # a container that is down this many looks in a row does not come up by itself
_LOG_LINES = 8
_HOSTNAME_LENGTH = 12  # of a container's id, which is its host name
_DOWN = frozenset({"exited", "restarting", "dead"})
_LOCUST_SERVICES = frozenset({"locust-master", "locust-worker"})


@dataclass(frozen=True)
class Clock:
    """Time, passed in so that tests need not wait."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass
class _TrackedContainer:
    """What was seen so far of containers that are down."""

    next_look: float = 0.0
    down_looks: int = 0
    down: ListedContainer | None = None


def wait(
    web: LocustApi,
    engine: HostEngine,
    project: str,
    wanted: int,
    say: Console,
    clock: Clock,
    deadline_seconds: float = DEADLINE_SECONDS,
    *,
    others: bool = False,
) -> str:
    """Wait until `wanted` workers are registered; how it is known, in a few words.

    `others` says that workers of other machines may be among those that the master counts.

    Raises:
        StackError: they did not register in time, or a container cannot live; its last log lines were printed.

    """
    end = clock.now() + deadline_seconds
    watch = _TrackedContainer()
    while True:
        count, guarded = _count(web, engine, project)
        if count == wanted or (others and count is not None and count > wanted):
            known = "healthy (the web API asks for a login)" if guarded else "registered"
            return f"{wanted} worker{'s' if wanted != 1 else ''} {known}"
        now = clock.now()
        if now >= watch.next_look:
            watch.next_look = now + _CONTAINERS_EACH_SECONDS
            _look(watch, engine, project)
        if watch.down is not None and watch.down_looks >= _GIVE_UP_AFTER_LOOKS:
            raise _cannot_live(watch.down, engine, say)
        if now >= end:
            raise _too_late(count, wanted, deadline_seconds, watch, engine, say)
        clock.sleep(_LOOK_EACH_SECONDS)


def wait_healthy(
    engine: HostEngine,
    project: str,
    wanted: int,
    say: Console,
    clock: Clock,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> str:
    """Wait until `wanted` workers hear the master of another machine, which their health tells; in a few words.

    Raises:
        StackError: they did not in time, or a container cannot live; its last log lines were printed.

    """
    end = clock.now() + deadline_seconds
    watch = _TrackedContainer()
    while True:
        healthy = _healthy(engine, project)
        if healthy == wanted:
            return f"{wanted} worker{'s' if wanted != 1 else ''} healthy: the master's heartbeats arrive"
        _look(watch, engine, project)
        if watch.down is not None and watch.down_looks >= _GIVE_UP_AFTER_LOOKS:
            raise _cannot_live(watch.down, engine, say)
        if clock.now() >= end:
            raise StackError(
                f"{healthy} of {wanted} workers heard the master within {deadline_seconds:.0f} s",
                fix="make diagnose here, make logs SERVICE=locust-worker",
            )
        clock.sleep(_CONTAINERS_EACH_SECONDS)


def _healthy(engine: HostEngine, project: str) -> int:
    return sum(
        1 for container in engine.containers(project) if container.service == "locust-worker" and container.healthy
    )


def _count(web: LocustApi, engine: HostEngine, project: str) -> tuple[int | None, bool]:
    """How many workers there are, None while nothing answers; and whether containers had to be asked."""
    try:
        status = web.status()
        if status is not None and "workers_connected" in status:
            return _living(status["workers_connected"], engine.containers(project)), False
        return web.worker_count(), False
    except MasterGuardedError:
        return _healthy(engine, project), True
    except MasterError:
        return None, False


def _living(workers: Sequence[str], containers: Sequence[ListedContainer]) -> int:
    """How many of the master's workers live in a container of the stack.

    A worker that was replaced while it started says no goodbye, and the master counts it for seconds to come; its id
    begins with its container's.
    """
    there = {
        container.id[:_HOSTNAME_LENGTH]
        for container in containers
        if container.service == "locust-worker" and container.state == "running"
    }
    return sum(1 for worker in workers if worker[:_HOSTNAME_LENGTH] in there)


def _look(watch: _TrackedContainer, engine: HostEngine, project: str) -> None:
    down = _first_down(engine.containers(project))
    watch.down_looks = watch.down_looks + 1 if down else 0
    watch.down = down


def _first_down(containers: Sequence[ListedContainer]) -> ListedContainer | None:
    """A Locust container that is down, the master before a worker: without it no worker can register."""
    down = [
        container
        for container in containers
        if container.state in _DOWN and container.service in _LOCUST_SERVICES and not container.oneoff
    ]
    return min(down, key=lambda one: one.service, default=None)


def _cannot_live(listed_container: ListedContainer, engine: HostEngine, say: Console) -> StackError:
    about = engine.inspect(listed_container.id).get("State") or {}
    killed = ", killed for lack of memory" if about.get("OOMKilled") else ""
    _print_logs(listed_container, engine, say)
    return StackError(
        f"{listed_container.name} does not stay up: it ended with exit code {about.get('ExitCode', '?')}{killed}",
        where="its last log lines are above",
        fix="make logs, make down",
    )


def _too_late(
    count: int | None, wanted: int, deadline: float, watch: _TrackedContainer, engine: HostEngine, say: Console
) -> StackError:
    if watch.down is not None:
        return _cannot_live(watch.down, engine, say)
    if count is None:
        return StackError(f"the master's web page did not answer within {deadline:.0f} s", fix="make logs, make down")
    return StackError(
        f"{count} of {wanted} workers registered at the master within {deadline:.0f} s",
        fix="make ps, make logs SERVICE=locust-worker",
    )


def _print_logs(listed_container: ListedContainer, engine: HostEngine, say: Console) -> None:
    say.line()
    for line in engine.logs(listed_container.id, _LOG_LINES):
        say.line(f"    {listed_container.name} | {line}")
