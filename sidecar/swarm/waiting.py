"""Wait until all workers are registered at the master, and report what prevents that."""

from __future__ import annotations

from collections import Counter

from sidecar.common.errors import KitError, StackError
from sidecar.common.units import plural
from sidecar.engine.swarm_manager import Manager, SwarmState, spread
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError, MasterGuardedError
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import Settings
from sidecar.stack import workspace
from sidecar.stack.registered import Clock

DEADLINE_SECONDS = 240.0  # a node may have to pull its images first
_EACH_SECONDS = 1.0


def wait(manager: Manager, settings: Settings, wanted: int, clock: Clock, seconds: float = DEADLINE_SECONDS) -> str:
    """Wait until `wanted` workers are registered and no update is running; return how they are spread over the nodes.

    Raises:
        StackError: they did not register in time; the message has Swarm's own error.

    """
    end = clock.now() + seconds
    while True:
        fleet = manager.fleet(settings.project)
        count = None if is_moving(fleet) else counted(settings, wanted)
        if count == wanted and len(fleet.running(WORKER)) == settings.workers:
            places = ", ".join(f"{number} on {node}" for node, number in spread(fleet, WORKER))
            return f"{plural(wanted, 'worker')} registered: {places}"
        paused = next((service for service in fleet.services if service.update == "paused"), None)
        if paused is not None:
            raise StackError(
                f"the update of {paused.name} stopped before its end: {paused.update_message}",
                fix=f"make swarm-diagnose{settings.project_word}",
            )
        if clock.now() >= end:
            raise _too_late(fleet, settings, count, wanted, seconds)
        clock.sleep(_EACH_SECONDS)


def is_moving(fleet: SwarmState) -> bool:
    """Return whether earlier tasks still run or an update is running. The count is not of this deploy then."""
    if any(service.update == "updating" for service in fleet.services) or not fleet.running(MASTER):
        return True
    wanted = {service.name: service.made_of for service in fleet.services}
    return any(task.made_of != wanted[task.service] for name in (MASTER, WORKER) for task in fleet.running(name))


def counted(settings: Settings, wanted: int) -> int | None:
    """Return how many workers the master counts; `wanted` if it asks for a login, None if it does not answer."""
    try:
        web: LocustApi = workspace.web_for(settings)
        return web.worker_count()
    except MasterGuardedError:
        return wanted
    except (MasterError, KitError, KeyError, ValueError):
        return None


def _too_late(fleet: SwarmState, settings: Settings, count: int | None, wanted: int, seconds: float) -> StackError:
    errors = Counter(task.error for task in fleet.tasks if task.desired == "running" and task.error)
    errors.update(
        task.error for task in fleet.tasks if task.desired == "shutdown" and task.state in ("failed", "rejected")
    )
    most = f"; Swarm reports: {errors.most_common(1)[0][0]}" if errors else ""
    has = "the master does not answer" if count is None else f"{count} of {plural(wanted, 'worker')} registered"
    return StackError(f"after {seconds:.0f} s: {has}{most}", fix=f"make swarm-diagnose{settings.project_word}")
