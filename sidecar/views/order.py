"""The sort orders of the containers, as data. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.incidents.warnings import MEMORY_PERCENT, THROTTLED_PERCENT
from sidecar.model.incident import ExitReason
from sidecar.model.snapshot import MASTER, WORKER, Container, Locust, Snapshot

Users = Mapping[str, int]
_CALM_ENDS = frozenset({ExitReason.STOPPED.value, ExitReason.FINISHED.value})


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort order: its key, its name, the value (None: last), and the first direction."""

    key: str
    title: str
    value: Callable[[Container, Users], float | str | None]
    falling: bool = True


def badness(container: Container) -> int:
    """Rank a container: 2 is broken, 1 needs attention, 0 is fine."""
    if container.state in {"exited", "dead"} and container.exit_reason in _CALM_ENDS:
        return 1
    if container.state in {"exited", "dead", "restarting"} or container.health == "unhealthy":
        return 2
    if container.state != "running" or container.health == "starting":
        return 1
    throttled = (container.throttled_percent or 0) >= THROTTLED_PERCENT
    return 1 if is_high(container) or throttled or container.oom_eta_seconds is not None else 0


def is_high(container: Container) -> bool:
    """Return whether a container's memory is near its limit."""
    return bool(container.memory_limit_bytes) and (container.memory_percent or 0) >= MEMORY_PERCENT


def users_by_container(locust: Locust | None) -> Users:
    """Add up the users of each container's worker processes."""
    users: Counter[str] = Counter()
    for worker in locust.workers if locust else ():
        if worker.container:
            users[worker.container] += worker.users
    return users


def is_watched(container: Container, snapshot: Snapshot) -> bool:
    """Return whether a container belongs to the other project in the view (WATCH_PROJECT)."""
    return snapshot.watched is not None and container.project == snapshot.watched != snapshot.project


def ordered(snapshot: Snapshot, sort: str, *, reverse: bool) -> tuple[list[Container], list[Container]]:
    """Return the stack's containers and those of the watched project, each sorted."""
    own = [container for container in snapshot.containers if not is_watched(container, snapshot)]
    watched = [container for container in snapshot.containers if is_watched(container, snapshot)]
    users = users_by_container(snapshot.locust)
    return _sorted(own, users, sort, reverse=reverse), _sorted(watched, users, sort, reverse=reverse)


def _sorted(containers: Sequence[Container], users: Users, key: str, *, reverse: bool) -> list[Container]:
    """Sort by a key, then by name. Rows without a value are last in both directions."""
    by_name = sorted(containers, key=_worst)
    sort = SORTS_BY_KEY.get(key)
    if sort is None or sort.key == WORST:
        return by_name[::-1] if reverse else by_name
    known = [container for container in by_name if sort.value(container, users) is not None]
    known.sort(key=lambda container: _comparable(sort.value(container, users)), reverse=sort.falling != reverse)
    return [*known, *(container for container in by_name if sort.value(container, users) is None)]


def _comparable(value: float | str | None) -> tuple[float, str]:
    return (0.0, value) if isinstance(value, str) else (value or 0.0, "")


def _worst(container: Container) -> tuple[int, float, float, int, str, int]:
    bad = badness(container)
    eta = container.oom_eta_seconds if container.oom_eta_seconds is not None else float("inf")
    pressure = -(container.memory_percent or 0.0) if bad == 1 else 0.0
    place = {MASTER: 0, WORKER: 1}.get(container.service, 2)
    return -bad, eta, pressure, place, container.service, container.index


WORST = "worst"
# In the order of the sort key. A title is that of the sorted column.
SORTS = (
    Sort(WORST, "", lambda _, __: None),
    Sort("cpu", "CPU", lambda container, _: container.cpu_percent),
    Sort("throttled", "THR", lambda container, _: container.throttled_percent),
    Sort("memory", "%", lambda container, _: container.memory_percent),
    Sort("used", "USED/LIMIT", lambda container, _: container.memory_working_set_bytes),
    Sort("eta", "OOM IN", lambda container, _: container.oom_eta_seconds, falling=False),
    Sort("oom kills", "OOM", lambda container, _: container.oom_kills),
    Sort("restarts", "RST", lambda container, _: container.restarts),
    Sort("network", "NET RX/TX", lambda container, _: _sum(container.network_rx_bytes, container.network_tx_bytes)),
    Sort("users", "USERS", lambda container, users: users.get(container.name)),
    Sort("uptime", "UP", lambda container, _: -container.started_at.timestamp() if container.started_at else None),
    Sort("name", "CONTAINER", lambda container, _: f"{container.service}-{container.index:06d}", falling=False),
)
SORTS_BY_KEY = {sort.key: sort for sort in SORTS}


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
