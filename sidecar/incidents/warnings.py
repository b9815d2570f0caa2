"""Problems, present or expected, in one line each, the worst first; and when data is too old to be live. Pure.

Each rule is a function from the known facts to its warnings. The list at the end has all rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sidecar.common.units import plural
from sidecar.model.incident import SIGKILL_EXIT
from sidecar.model.observation import PluginStatus
from sidecar.model.run_record import STUCK_SECONDS, number
from sidecar.model.snapshot import MASTER, WORKER, Container, Host, Locust, Snapshot, Warn

_MISSED_REFRESHES = 3
_LEAST_SECONDS = 6.0  # a busy machine may be late by a refresh or two without any problem
MEMORY_PERCENT = 90.0
CORE_PERCENT = 90.0  # Locust's own threshold: above it, the times it measures include its own waiting
DISK_PERCENT = 90.0
DISK_FULL_PERCENT = 97.0
THROTTLED_PERCENT = 5.0
RECENT = timedelta(minutes=5)
SETTLING = timedelta(seconds=15)  # a master needs this long at most to open its web port


def stale_after_seconds(interval_seconds: float) -> float:
    """Return how old a snapshot may get before it is no longer live."""
    return max(_LEAST_SECONDS, _MISSED_REFRESHES * interval_seconds)


def overdue(snapshot: Snapshot, now: datetime) -> bool:
    """Return whether a snapshot should have been replaced long ago: its maker hangs."""
    return (now - snapshot.at).total_seconds() > stale_after_seconds(snapshot.interval_seconds)


def judged(snapshot: Snapshot, now: datetime) -> Snapshot:
    """Mark an overdue snapshot as stale."""
    return snapshot if snapshot.stale or not overdue(snapshot, now) else replace(snapshot, stale=True)


def data_age_seconds(snapshot: Snapshot, now: datetime) -> float | None:
    """Return the age of the containers' figures; None when Docker has never answered."""
    read_at = snapshot.engine_read_at
    return None if read_at is None else max(0.0, (now - read_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Known:
    """The facts that the rules look at.

    `unread` has one sentence for each source that gave no data this time. `follows` is true if the master, and the
    monitor that knows everything, run on another node of the cluster.
    """

    now: datetime
    containers: tuple[Container, ...]
    locust: Locust | None
    locust_error: str | None
    host: Host | None
    unread: tuple[str, ...] = ()
    stale: bool = False
    follows: bool = False
    plugin: PluginStatus | None = None


def warnings(known: Known) -> tuple[Warn, ...]:
    """Apply every rule; errors come before warnings, otherwise in the order of the rules."""
    every = [warning for rule in _RULES for warning in rule(known)]
    return tuple(sorted(every, key=lambda warning: warning.severity != "error"))


def _unread_sources(known: Known) -> Iterator[Warn]:
    severity = "error" if known.stale else "warn"
    for sentence in known.unread:
        yield Warn(severity, sentence)


def _no_master(known: Known) -> Iterator[Warn]:
    if known.stale or known.follows or any(container.service == MASTER for container in known.containers):
        return
    yield Warn("error", f"there is no {MASTER} container: make up")


def _broken_containers(known: Known) -> Iterator[Warn]:
    for container in known.containers:
        if container.state in {"exited", "dead"}:
            yield _exited(container)
        elif container.state == "restarting":
            code = "" if container.exit_code is None else f", last exit code {container.exit_code}"
            yield _about(container, "error", f"keeps restarting ({_times(container.restarts or 0)} so far{code})")
        elif container.state == "paused":
            yield _about(container, "warn", "is paused")
        elif container.health == "unhealthy":
            yield _about(container, "error", "is unhealthy")


def _exited(container: Container) -> Warn:
    code = container.exit_code
    if code is None:
        return _about(container, "error", "has exited")
    reason = " (SIGKILL)" if code == SIGKILL_EXIT else ""
    return _about(container, "error" if code else "warn", f"has exited with code {code}{reason}")


def _memory(known: Known) -> Iterator[Warn]:
    for container in known.containers:
        percent = container.memory_percent
        if container.memory_limit_bytes and percent is not None and percent >= MEMORY_PERCENT:
            yield _about(container, "warn", f"uses {percent:.0f}% of its memory limit; at 100% the kernel kills it")


def _restarted_lately(known: Known) -> Iterator[Warn]:
    for container in known.containers:
        recent = container.started_at is not None and known.now - container.started_at < RECENT
        if container.state == "running" and container.restarts and recent:
            yield _about(container, "warn", f"has been restarted {_times(container.restarts)}, last in these 5 minutes")


def _locust_silent(known: Known) -> Iterator[Warn]:
    master = next(
        (container for container in known.containers if container.service == MASTER and container.state == "running"),
        None,
    )
    if known.stale or known.locust_error is None or master is None:
        return
    if master.started_at is not None and known.now - master.started_at < SETTLING:
        return
    yield Warn("error", f"no figures from Locust: {known.locust_error}", master.name)


def _workers_missing(known: Known) -> Iterator[Warn]:
    if known.stale or known.locust is None or known.locust.workers_here >= known.locust.workers_expected:
        return
    connected, expected = known.locust.workers_here, known.locust.workers_expected
    yield Warn("warn", f"only {connected} of {expected} running workers are connected to the master")


def _no_answers(known: Known) -> Iterator[Warn]:
    """Yield requests that wait for long, or a run in which no request has finished for long, as the plugin reports."""
    if known.stale or known.locust is None or not known.locust.users or known.plugin is None:
        return
    account = known.plugin.meters.get("requests") or {}
    limit = number(known.plugin.judge.get("stuck_seconds"), STUCK_SECONDS)
    rows = [row for row in account.get("endpoints") or [] if row.get("waiting")]
    oldest = max(rows, key=lambda row: row["waiting"][-1][0], default=None)
    if not limit or oldest is None or oldest["waiting"][-1][0] < limit:
        return
    seconds, endpoint = oldest["waiting"][-1][0], f"{oldest['method']} {oldest['name']}".strip()
    if (quiet := account.get("quiet_seconds") or 0) >= limit:
        users = f"{plural(known.locust.users, 'user')} {'is' if known.locust.users == 1 else 'are'} there"
        yield Warn("error", f"no request finished for {quiet} s while {users}: {endpoint} has waited {seconds} s")
    else:
        waiting = sum(count for waited, count in oldest["waiting"] if waited >= limit)
        yield Warn("warn", f"{plural(waiting, 'request')} of {endpoint} without an answer, the oldest for {seconds} s")


def _unheard_workers(known: Known) -> Iterator[Warn]:
    """Yield the workers of the current run whose figures are missing, as the plugin reports."""
    reports = known.plugin.meters.get("reports") or {} if known.plugin and not known.stale else {}
    if known.locust is None or not known.locust.users:
        return
    for row in reports.get("silent_workers") or ():
        seconds = f"{float(row.get('seconds') or 0):.0f} s, with {row.get('users')} users"
        yield Warn("error", f"worker {row.get('worker')} sent no statistics for {seconds}")
    if refused := sum(row.get("count") or 0 for row in reports.get("refused") or () if row.get("changes_figures")):
        yield Warn("error", f"{plural(refused, 'report')} of workers could not be counted: the master's log says why")


def _older_locustfile(known: Known) -> Iterator[Warn]:
    if known.locust is None or not known.locust.locustfile_changed:
        return
    behind = sum(1 for worker in known.locust.workers if worker.locustfile_changed)
    files = ", ".join(known.locust.locustfile_changed)
    who = f"{behind} of {len(known.locust.workers)} workers run" if behind else "the master runs"
    yield Warn("warn", f"{who} an older {files} than the one on disk: make reload")


def _busy_generators(known: Known) -> Iterator[Warn]:
    """Find workers near a full core or throttled by a limit: they measure their own waiting, not the target's."""
    for container in known.containers:
        if container.service != WORKER or container.state != "running":
            continue
        busiest = _busiest_process_percent(container, known.locust)
        if busiest is not None and busiest >= CORE_PERCENT:
            yield _about(container, "warn", f"uses {busiest:.0f}% of a core: do not trust its response times")
        elif container.throttled_percent is not None and container.throttled_percent >= THROTTLED_PERCENT:
            yield _about(
                container,
                "warn",
                f"is throttled by its CPU limit {container.throttled_percent:.0f}% of the time:"
                " do not trust its response times",
            )


def _busiest_process_percent(container: Container, locust: Locust | None) -> float | None:
    """Return Locust's figure of each process if there are several: the container's own figure adds them up."""
    processes = [worker for worker in locust.workers if worker.container == container.name] if locust else []
    if len(processes) > 1:
        return max(process.cpu_percent for process in processes)
    return container.cpu_percent


def _disk(known: Known) -> Iterator[Warn]:
    percent = known.host.disk_used_percent if known.host else None
    if percent is not None and percent >= DISK_PERCENT:
        yield Warn("error" if percent >= DISK_FULL_PERCENT else "warn", f"the host's disk is {percent:.0f}% full")


def _about(container: Container, severity: str, text: str) -> Warn:
    return Warn(severity, f"{short_name(container)} {text}", container.name)


def short_name(container: Container) -> str:
    """Return a container's name without the project: service and number (`locust-worker-3`)."""
    return f"{container.service}-{container.index}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_RULES: tuple[Callable[[Known], Iterator[Warn]], ...] = (
    _unread_sources,
    _no_master,
    _broken_containers,
    _locust_silent,
    _memory,
    _workers_missing,
    _no_answers,
    _unheard_workers,
    _older_locustfile,
    _busy_generators,
    _restarted_lately,
    _disk,
)
