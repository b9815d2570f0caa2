"""From raw observations to one Snapshot. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sidecar.common.records import shared
from sidecar.incidents.warnings import Known, warnings
from sidecar.model.cluster import NO_OTHERS, UNKNOWN, Others
from sidecar.model.incident import Incident, Severity
from sidecar.model.observation import Inspected, Listed, LocustReading, LogEntry, Stats, StatsReading
from sidecar.model.snapshot import WORKER, Blind, Container, Failure, Host, Locust, LogLine, Service, Snapshot
from sidecar.report.verdict.judge import so_far

SHORT_ID = 12
MOST_INCIDENTS = 50


@dataclass(frozen=True, slots=True)
class ContainerReadings:
    """One container, from all calls to the engine together."""

    listed: Listed
    inspected: Inspected | None = None
    figures: Stats | None = None
    counters: StatsReading | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded incidents, at one moment.

    `incidents` are the incidents of the last minutes and the ongoing ones, newest first. `oom_kills` and `exit_reasons`
    are by full container id. `problem` is the reason why nothing can be recorded now. `recorded_until` is the time up
    to which everything was recorded.
    """

    incidents: tuple[Incident, ...] = ()
    oom_kills: Mapping[str, int] = field(default_factory=dict)
    exit_reasons: Mapping[str, str] = field(default_factory=dict)
    blind: tuple[Blind, ...] = ()
    problem: str = ""
    recorded_until: datetime | None = None


NOTHING_RECORDED = Recorded()


@dataclass(frozen=True, slots=True)
class Observed:
    """All that one round of readings brought.

    `unread` has one sentence for each source that gave no data. `stale` means that `containers` are from
    `engine_read_at`. `watched` is the other project in the view; `fail_ratio` is the highest share of failures that
    still passes. In a cluster, `node` is this machine, `leads` is true if the master runs on it, and `others` is what
    the other nodes saw. `hostnames` has the host names of all containers so far: a worker stays in the master's list
    longer than its container.
    """

    project: str
    at: datetime
    interval_seconds: float
    engine_read_at: datetime | None
    round_seconds: float | None
    stale: bool
    containers: tuple[ContainerReadings, ...]
    locust: LocustReading
    host: Host | None
    log_source: Listed | None
    log: tuple[LogEntry, ...]
    unread: tuple[str, ...]
    recorded: Recorded = NOTHING_RECORDED
    watched: str | None = None
    fail_ratio: float = 0.0
    node: str | None = None
    leads: bool | None = None
    others: Others = NO_OTHERS
    hostnames: frozenset[str] = frozenset()


def containers_of(observed: Observed) -> tuple[Container, ...]:
    """Combine the readings of this engine's containers."""
    made = (_container(readings, observed.project, observed.recorded) for readings in observed.containers)
    if observed.node is None:
        return tuple(made)
    return tuple(replace(container, node=observed.node) for container in newest_of_each_name(made))


def _in_order(containers: Iterable[Container], project: str) -> tuple[Container, ...]:
    """Put the project's containers first, by service and number."""

    def place(container: Container) -> tuple[bool, str, int, str]:
        return container.project != project, container.service, container.index, container.node or ""

    return tuple(sorted(containers, key=place))


def snapshot(observed: Observed, etas: Mapping[str, float] | None = None) -> Snapshot:
    """Build one Snapshot and judge it; `etas` are the seconds to an OOM kill by short container id."""
    own = tuple(
        replace(container, oom_eta_seconds=etas[container.id]) if etas and container.id in etas else container
        for container in containers_of(observed)
    )
    everyone = _in_order(
        newest_of_each_name((*own, *observed.others.containers)) if observed.node else own, observed.project
    )
    containers = tuple(container for container in everyone if container.project == observed.project)
    recorded = observed.recorded
    run = observed.locust.plugin.run if observed.locust.plugin else None
    locust = _locust(observed, containers)
    known = Known(
        now=observed.at,
        containers=containers,
        locust=locust,
        locust_error=observed.locust.error,
        host=observed.host,
        unread=(*observed.unread, *observed.others.unread),
        stale=observed.stale,
        follows=observed.leads is False,
        plugin=observed.locust.plugin,
    )
    stats = observed.locust.stats
    return Snapshot(
        **shared(observed, Snapshot) | {"containers": everyone, "locust": locust},
        run=run,
        services=services(everyone),
        locust_error=observed.locust.error,
        warnings=warnings(known),
        logs=_logs(observed),
        verdict=so_far(observed.locust.plugin, locust, recorded.incidents, observed.fail_ratio, recorded.problem),
        failures=_failures(observed.locust),
        endpoints=stats.endpoints if stats else (),
        incidents=shown(recorded.incidents),
        blind=(*recorded.blind, *observed.others.blind),
        nodes=observed.others.nodes,
    )


def shown(incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """Select the recorded incidents that a Snapshot holds, newest first. Errors stay longer than the others.

    They come without evidence, which is long. Clients request one incident to get its evidence.
    """
    chosen: list[Incident] = []
    room = {Severity.ERROR: MOST_INCIDENTS, Severity.WARN: MOST_INCIDENTS // 2, Severity.INFO: MOST_INCIDENTS // 4}
    for incident in incidents:
        if incident.helper or len(chosen) >= MOST_INCIDENTS or not room[incident.severity]:
            continue
        room[incident.severity] -= 1
        chosen.append(replace(incident, evidence=()))
    return tuple(chosen)


def _container(readings: ContainerReadings, project: str, recorded: Recorded) -> Container:
    listed, inspected = readings.listed, readings.inspected
    figures = readings.figures if listed.state == "running" else None
    own = {"id": listed.id[:SHORT_ID], "project": listed.project or project}
    return Container(
        **shared(listed, Container) | shared(inspected, Container) | shared(figures, Container) | own,
        oom_kills=recorded.oom_kills.get(listed.id, 0),
        exit_reason=recorded.exit_reasons.get(listed.id) if listed.state != "running" else None,
    )


def services(containers: Iterable[Container]) -> tuple[Service, ...]:
    """Count the containers of each service by state, services in the order of their names."""
    groups: dict[str, list[Container]] = {}
    for container in containers:
        groups.setdefault(container.service, []).append(container)
    return tuple(_service(name, group) for name, group in sorted(groups.items()))


def _service(name: str, group: list[Container]) -> Service:
    states = Counter(container.state for container in group)
    healths = Counter(container.health for container in group if container.state == "running")
    return Service(
        service=name,
        containers=len(group),
        running=states["running"],
        healthy=healths["healthy"],
        unhealthy=healths["unhealthy"],
        restarting=states["restarting"],
        exited=states["exited"] + states["dead"],
    )


def _locust(observed: Observed, containers: Iterable[Container]) -> Locust | None:
    reading, stats = observed.locust, observed.locust.stats
    if stats is None:
        return None
    homes = {
        **{container.id: container.name for container in observed.others.containers},
        **names_by_hostname(observed.containers),
    }
    known = observed.hostnames.union(homes) if _knows_its_workers(observed) else None
    changed = reading.plugin.workers_changed if reading.plugin else {}
    processes = reading.plugin.processes if reading.plugin else {}
    master_changed = reading.plugin.master_changed if reading.plugin else ()
    workers = tuple(
        replace(
            worker,
            container=homes.get(worker.id.rpartition("_")[0]),
            locustfile_changed=changed.get(worker.id, ()),
            processes=processes.get(worker.id, 1),
            remote=known is not None and worker.id.rpartition("_")[0] not in known,
        )
        for worker in stats.workers
    )
    union = {name for worker in workers for name in worker.locustfile_changed} | set(master_changed)
    of_container: dict[str | None, int] = {}
    for worker in workers:
        of_container[worker.container] = max(worker.processes, of_container.get(worker.container, 1))
    usual = max(of_container.values(), default=1)  # for a container whose workers the master does not list
    expected = sum(
        of_container.get(container.name, usual)
        for container in containers
        if container.service == WORKER and container.state == "running"
    )
    return Locust(
        **shared(stats, Locust) | {"workers": workers},
        workers_expected=expected,
        locustfile_changed=tuple(sorted(union)),
        users_by_class=reading.plugin.users_by_class if reading.plugin else {},
    )


def _knows_its_workers(observed: Observed) -> bool:
    """Return whether every worker container's host name is known. Then any other worker is on another machine.

    In a cluster, an unknown worker may be on a node that has not reported yet.
    """
    if observed.node is not None:
        return False
    workers = (
        readings
        for readings in observed.containers
        if readings.listed.service == WORKER and readings.listed.state == "running"
    )
    return not observed.stale and all(readings.inspected for readings in workers)


def names_by_hostname(containers: Iterable[ContainerReadings]) -> dict[str, str]:
    """Map host names to containers. A Locust worker's id is `<hostname>_<uuid>`, the host name mostly the short id."""
    names: dict[str, str] = {}
    for readings in containers:
        names[readings.listed.id[:SHORT_ID]] = readings.listed.name
        if readings.inspected and readings.inspected.hostname:
            names[readings.inspected.hostname] = readings.listed.name
    return names


def _failures(reading: LocustReading) -> tuple[Failure, ...]:
    """Return the plugin's groups of failures; without the plugin, the failures that the master lists."""
    if reading.plugin and reading.plugin.failures:
        return reading.plugin.failures
    return reading.stats.failures if reading.stats else ()


def _logs(observed: Observed) -> tuple[LogLine, ...]:
    source = observed.log_source
    if source is None:
        return ()
    return tuple(LogLine(entry.at, source.service, source.name, entry.text) for entry in observed.log)


def newest_of_each_name(containers: Iterable[Container]) -> tuple[Container, ...]:
    """Keep one container of each name, the running or newest: Swarm lists tasks that it has replaced."""
    best: dict[tuple[str | None, str], Container] = {}
    for container in containers:
        key = (container.project, container.name)
        known = best.get(key)
        if known is None or _rank(container) > _rank(known):
            best[key] = container
    return tuple(best.values())


def _rank(container: Container) -> tuple[int, bool, float]:
    started_at = container.started_at
    state = {"running": 2, UNKNOWN: 1}.get(container.state, 0)
    return state, started_at is not None, started_at.timestamp() if started_at else 0.0
