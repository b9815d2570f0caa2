"""Wait until the expected workers are registered at the master, or report what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sidecar.common.console import Console
from sidecar.common.errors import StackError
from sidecar.common.units import plural
from sidecar.engine.docker_engine import DockerEngine, ListedContainer
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError, MasterGuardedError

DEADLINE_SECONDS = 90.0
_LOOK_EACH_SECONDS = 0.3
_CONTAINERS_EACH_SECONDS = 2.0
_GIVE_UP_AFTER_LOOKS = 5  # a container that is down in this many looks in a row does not start by itself
_LOG_LINES = 8
_HOSTNAME_LENGTH = 12  # the part of a container's id that is its host name
_DOWN = frozenset({"exited", "restarting", "dead"})
_LOCUST_SERVICES = frozenset({"locust-master", "locust-worker"})


@dataclass(frozen=True)
class Clock:
    """The clock, passed in so that tests need not wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class WorkerWait:
    """One wait for workers. Meanwhile it checks whether a container is down and stays down."""

    engine: DockerEngine
    project: str
    console: Console
    clock: Clock = field(default_factory=Clock)
    deadline_seconds: float = DEADLINE_SECONDS
    master_fix: str = ""  # what to try first if the master does not start
    next_look: float = 0.0
    down_looks: int = 0
    down: ListedContainer | None = None

    def __post_init__(self) -> None:
        """Begin the wait."""
        self.end = self.clock.now() + self.deadline_seconds

    def pause(self, seconds: float) -> bool:
        """Check the containers every two seconds, and sleep; return False after the deadline.

        Raises:
            StackError: a container cannot live; its last log lines were printed.

        """
        now = self.clock.now()
        if now >= self.next_look:
            self.next_look = now + _CONTAINERS_EACH_SECONDS
            self.down = _first_down(self.engine.containers(self.project))
            self.down_looks = self.down_looks + 1 if self.down else 0
        if self.down is not None and self.down_looks >= _GIVE_UP_AFTER_LOOKS:
            raise self.cannot_live(self.down)
        if now >= self.end:
            return False
        self.clock.sleep(seconds)
        return True

    def cannot_live(self, container: ListedContainer) -> StackError:
        """Print a container's last log lines, and return the error about its end."""
        about = (self.engine.inspect(container.id) or {}).get("State") or {}
        killed = ", killed for lack of memory" if about.get("OOMKilled") else ""
        self.console.line()
        for line in self.engine.logs(container.id, _LOG_LINES):
            self.console.line(f"    {container.name} | {line}")
        return StackError(
            f"{container.name} keeps exiting: its last exit code was {about.get('ExitCode', '?')}{killed}",
            where="its last log lines are above",
            fix=self.master_fix * (container.service == "locust-master") + "make logs, make down",
        )

    def registered(self, web: LocustApi, wanted: int, *, others: bool = False) -> str:
        """Wait until `wanted` workers are registered; return a few words on the source of this fact.

        With `others`, the master may also count workers of other machines.

        Raises:
            StackError: they did not register in time, or a container cannot live; its last log lines were printed.

        """
        while True:
            count, guarded = _count(web, self.engine, self.project)
            if count == wanted or (others and count is not None and count > wanted):
                known = "healthy (the web API asks for a login)" if guarded else "registered"
                return f"{plural(wanted, 'worker')} {known}"
            if not self.pause(_LOOK_EACH_SECONDS):
                break
        if self.down is not None:
            raise self.cannot_live(self.down)
        late = f"within {self.deadline_seconds:.0f} s"
        if count is None:
            fix = f"{self.master_fix}make logs, make down"
            raise StackError(f"the master's web page did not answer {late}", fix=fix)
        raise StackError(
            f"{count} of {wanted} workers registered at the master {late}",
            fix="make ps, make logs SERVICE=locust-worker",
        )

    def healthy(self, wanted: int) -> str:
        """Wait until `wanted` workers hear the master of another machine, as their health checks show.

        Return a few words on the source of this fact.

        Raises:
            StackError: they did not in time, or a container keeps exiting. Its last log lines were printed.

        """
        while (healthy := _healthy(self.engine, self.project)) != wanted:
            if not self.pause(_CONTAINERS_EACH_SECONDS):
                raise StackError(
                    f"{healthy} of {wanted} workers heard the master within {self.deadline_seconds:.0f} s",
                    fix="make diagnose here, make logs SERVICE=locust-worker",
                )
        return f"{plural(wanted, 'worker')} healthy: the master's heartbeats arrive"


def _healthy(engine: DockerEngine, project: str) -> int:
    return sum(
        1 for container in engine.containers(project) if container.service == "locust-worker" and container.healthy
    )


def _count(web: LocustApi, engine: DockerEngine, project: str) -> tuple[int | None, bool]:
    """Return the number of workers, None while nothing answers; and whether it comes from the containers."""
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
    """Return how many of the master's workers run in a container of the stack.

    A worker that was replaced during its start does not sign off, and the master counts it for some seconds. The id of
    a worker begins with the id of its container.
    """
    there = {
        container.id[:_HOSTNAME_LENGTH]
        for container in containers
        if container.service == "locust-worker" and container.state == "running"
    }
    return sum(1 for worker in workers if worker[:_HOSTNAME_LENGTH] in there)


def _first_down(containers: Sequence[ListedContainer]) -> ListedContainer | None:
    """Return a Locust container that is down, the master before a worker: without it no worker can register."""
    down = [
        container
        for container in containers
        if container.state in _DOWN and container.service in _LOCUST_SERVICES and not container.oneoff
    ]
    return min(down, key=lambda container: container.service, default=None)
