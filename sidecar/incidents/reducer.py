"""The reducer: signals in, incidents out. It holds the state and calls the rules; it does no I/O and has no clock.

It processes the signals of one container in the order of arrival. The kernel's counter of the container's cgroup counts
the kills. If that counter cannot be read, events and exits do. Everything is compared with the host's own count: kills
that only the host counted become incidents too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sidecar.common.times import SECOND_NS, from_nanos
from sidecar.incidents.container_history import STARTED_DIFFERS_NS, ContainerHistory, ContainerRun
from sidecar.incidents.exits import Exits
from sidecar.incidents.gaps import EVENTS, KERNEL, SIDECAR, ObservationGaps
from sidecar.incidents.host_count import SETTLE_NS, HostKillCount
from sidecar.incidents.kills import Kills
from sidecar.incidents.store import Enrich, IncidentStore
from sidecar.incidents.unattributed import UnattributedKills
from sidecar.model.incident import ExitReason, Incident, IncidentKind
from sidecar.model.signal import (
    ContainerRemoved,
    DockerEvent,
    Inspection,
    KernelReading,
    NotRecorded,
    Owner,
    OwnerLearned,
    Signal,
    StreamDown,
    StreamUp,
    Tick,
    Unreadable,
)
from sidecar.model.snapshot import Blind

# The keys of the state in the ledger: a contract with older monitors.
_HOST_COUNT, _ALIVE, _CLEAN, _CONTAINER = "account", "alive_ns", "clean_end", "vessel/"
_LONG_NS = 600 * SECOND_NS  # a monitor that was stopped on request and stayed away this long had nothing to watch

_SETTLED_BY_TIME = frozenset(
    {IncidentKind.EXIT, IncidentKind.RESTART, IncidentKind.MASTER_RESTART, IncidentKind.UNATTRIBUTED_OOM_KILL}
)
_UNSEEN_AFTER_NS = 3 * SECOND_NS  # an inspect may be ahead of the events by a moment, not by more
_GONE_AFTER_NS = 30 * SECOND_NS
_NEVER_READ_NS = 10 * SECOND_NS


class IncidentReducer:
    """The state of the incident rules.

    Args:
        projects: the Compose projects whose incidents are recorded. Incidents of helper containers are always recorded.
        enrich: adds what was known around the time of a new or final incident.
        state: the state that `kept` returned, from the ledger.
        incidents: the incidents of the ledger that may still change.
        engine_loses_kills: whether the engine can miss OOM kills of main processes, as it does under cgroup v2. Then a
            SIGKILL from an unknown sender may be one, if the host counted one kill too many.

    """

    def __init__(
        self,
        projects: Iterable[str],
        enrich: Enrich,
        *,
        state: Mapping[str, Any] | None = None,
        incidents: Iterable[Incident] = (),
        engine_loses_kills: bool = True,
    ) -> None:
        known, recent = dict(state or {}), list(incidents)
        self._projects = frozenset(projects)
        self._host_count = HostKillCount.from_json(known[_HOST_COUNT]) if _HOST_COUNT in known else HostKillCount()
        self._alive_ns: int | None = known.get(_ALIVE)
        self._ended_clean = bool(known.get(_CLEAN))
        self._ending = False
        self._containers = {
            key.removeprefix(_CONTAINER): ContainerHistory.from_json(value)
            for key, value in known.items()
            if key.startswith(_CONTAINER)
        }
        self._dirty: set[str] = set()
        self._elsewhere: dict[str, int] = {}
        self._elsewhere_new: dict[str, int] = {}
        self._kernel_ns = 0
        self._events_up = False
        self._store = IncidentStore(self._is_shown, enrich)
        self._store.restore(recent)
        self._gaps = ObservationGaps(self._store)
        self._gaps.restore(recent)
        self._kills = Kills(self._store, self._host_count)
        self._exits = Exits(self._store, self._kills)
        self._unattributed = UnattributedKills(
            self._store, self._host_count, self._kills, self._exits, self._gaps, engine_loses_kills
        )

    def apply(self, signal: Signal) -> None:
        """Process one signal."""
        match signal:
            case DockerEvent():
                self._event(signal)
            case KernelReading():
                self._kernel(signal)
            case Unreadable():
                self._unreadable(signal)
            case Inspection():
                self._inspection(signal)
            case OwnerLearned():
                self._owned(self._container(signal.container_id, signal.owner), signal.owner)
            case ContainerRemoved():
                self._container_removed(signal.container_id, signal.at_ns)
            case StreamDown():
                self._events_up = False
                self._gaps.lost(EVENTS, signal.at_ns, signal.why)
            case StreamUp():
                self._stream_up(signal)
            case Tick():
                self._tick(signal.at_ns)

    def not_recorded(self, gap: NotRecorded) -> None:
        """Process a span in which the ledger could not be written. Each try that ends the span calls this again."""
        self._gaps.not_recorded(gap)

    def changes(self) -> list[Incident]:
        """Return the incidents that changed since the last call."""
        changed = self._store.take_changes()
        self._dirty.update(incident.container_id for incident in changed if incident.container_id)
        return changed

    def kept(self) -> tuple[dict[str, Any], list[str]]:
        """Return the state to keep that changed since the last call, and the keys to drop."""
        dirty, self._dirty = self._dirty, set()
        keep: dict[str, Any] = {_HOST_COUNT: self._host_count.to_json(), _ALIVE: self._alive_ns, _CLEAN: self._ending}
        keep.update({_CONTAINER + key: self._containers[key].to_json() for key in dirty if key in self._containers})
        return keep, [_CONTAINER + key for key in dirty if key not in self._containers]

    def blind(self) -> tuple[Blind, ...]:
        """Return the blind spans of the last minutes."""
        return self._gaps.shown()

    def exit_reasons(self) -> dict[str, str]:
        """Return the exit reason of each container that is down, by container id."""
        return {
            history.container_id: run.exit.reason
            for history in self._containers.values()
            if (run := history.current) is not None and run.exit.reason and not run.alive
        }

    def stop(self) -> None:
        """Note that somebody asked the monitor to end."""
        self._ending = True

    def began(self, at_ns: int) -> None:
        """Begin: the time from the monitor's last sign of life to now is a gap."""
        if self._alive_ns is not None:
            why = "it was stopped on request" if self._ended_clean else "it was killed, or the machine went down"
            self._gaps.lost(SIDECAR, self._alive_ns, why)
            if self._ended_clean and at_ns - self._alive_ns > _LONG_NS:
                self._host_count.begin_anew()
                self._gaps.nobody_watched(SIDECAR)
        self._kernel_ns = at_ns

    def _is_shown(self, run: ContainerRun) -> bool:
        return run.owner.helper or run.owner.project in self._projects

    def _container(self, container_id: str, owner: Owner) -> ContainerHistory:
        history = self._containers.get(container_id)
        if history is None:
            history = self._containers[container_id] = ContainerHistory(container_id, owner)
        self._dirty.add(container_id)
        return history

    def _owned(self, history: ContainerHistory, owner: Owner) -> None:
        """Process the owner of a container: a reading of the kernel's counters can come before any event."""
        history.owned_by(owner)
        for run in history.runs:
            self._kills.catch_up(run)

    def _event(self, event: DockerEvent) -> None:
        history = self._container(event.container_id, event.owner)
        self._owned(history, event.owner)
        match event.action:
            case "start":
                self._start(history, event.ns)
            case "die":
                self._exits.died(history.end(event.ns), event.ns, event.exit_code)
            case "oom":
                victim = history.dying() or history.current or history.begin(f"oom-{event.ns}", None)
                self._kills.oom_reported(victim, event.ns)
                self._exits.oom_late(victim)
            case "kill" | "stop":  # `restart` comes after the start, and after these two
                if (current := history.current) is not None:
                    current.request_stop(event.ns, event.signal if event.action == "kill" else None)
                    self._exits.asked_late(current, event.ns)
            case "destroy":
                history.destroyed_ns = event.ns

    def _start(self, history: ContainerHistory, at_ns: int) -> None:
        run = history.starting(at_ns) or history.begin(str(at_ns), at_ns)
        run.start = replace(run.start, started_ns=at_ns)
        history.unseen_since_ns = 0
        before = history.before(run)
        if before is not None and before.alive:  # the event of its exit is missing
            self._exits.died(before, at_ns, None)
        self._exits.started(history, run, at_ns)
        if history.restarts is not None:
            history.restarts += 1

    def _kernel(self, reading: KernelReading) -> None:
        first = self._host_count.total is None or self._host_count.boot_id != reading.boot_id
        for container_id, counter in reading.containers.items():
            history = self._containers.get(container_id)
            if history is None:
                history = self._container(container_id, Owner(container_id[:12]))
            run = history.of_cgroup(counter.cgroup, reading.at_ns)
            run.kills.peak_bytes = counter.peak_bytes or run.kills.peak_bytes
            if not reading.complete:
                self._host_count.look(reading.at_ns, counter.cgroup, counter.kills)
            if run.kills.kernel is not None and counter.kills <= run.kills.kernel:
                continue  # nothing new, or a reading that came later than a newer one
            self._dirty.add(container_id)
            if first and run.kills.kernel is None and reading.complete:
                self._kills.before_watching(run, counter.kills, reading.at_ns)
            else:
                self._kills.counted(run, counter.kills, reading.at_ns, self._host_count.read_ns)
        if not reading.complete:
            return
        counters = {container.cgroup: container.kills for container in reading.containers.values()}
        self._host_count.read(reading.at_ns, reading.boot_id, reading.host_kills, counters)
        self._look_elsewhere(reading, first=first)
        self._kernel_ns = reading.at_ns
        self._gaps.back(KERNEL, reading.at_ns, covered=True)

    def _look_elsewhere(self, reading: KernelReading, *, first: bool) -> None:
        if not reading.elsewhere:
            return
        for path, kills in reading.elsewhere.items():
            grown = kills - self._elsewhere.get(path, kills if first or not self._elsewhere else 0)
            if grown > 0:
                self._elsewhere_new[path] = self._elsewhere_new.get(path, 0) + grown
        self._elsewhere = dict(reading.elsewhere)

    def _unreadable(self, signal: Unreadable) -> None:
        history = self._containers.get(signal.container_id)
        run = None if history is None else (history.dying() or history.current)
        if run is not None and run.kills.pending:
            self._dirty.add(signal.container_id)
            self._kills.unreadable(run, signal.at_ns)

    def _inspection(self, inspection: Inspection) -> None:
        history = self._container(inspection.container_id, inspection.owner)
        self._owned(history, inspection.owner)
        run = history.current
        if run is None:
            if inspection.started_ns is None:
                return
            run = history.begin(str(inspection.started_ns), inspection.started_ns)
        # Before that, its start event may still be on its way.
        settled = inspection.at_ns - run.start.cgroup_seen_ns > _UNSEEN_AFTER_NS
        if run.start.started_ns is None and inspection.state == "running" and settled:
            run.start = replace(run.start, started_ns=inspection.started_ns)
            self._restarted_unseen(history, run, inspection)
        run.memory_limit_bytes = inspection.memory_limit_bytes
        if history.restarts is None:
            history.restarts = inspection.restarts
        if self._agrees(run, inspection):
            history.unseen_since_ns = 0
            if inspection.oom_killed and inspection.state != "running":
                self._exits.flagged(run, inspection)
            return
        if not history.unseen_since_ns:
            history.unseen_since_ns = inspection.at_ns
        elif inspection.at_ns - history.unseen_since_ns >= _UNSEEN_AFTER_NS:
            history.unseen_since_ns = 0
            self._make_up(history, run, inspection)

    def _agrees(self, run: ContainerRun, inspection: Inspection) -> bool:
        if inspection.started_ns is None or run.start.started_ns is None:
            return True
        if inspection.started_ns > run.start.started_ns + STARTED_DIFFERS_NS:
            return False
        return not (run.alive and inspection.state in {"exited", "dead"})

    def _restarted_unseen(self, history: ContainerHistory, run: ContainerRun, inspection: Inspection) -> None:
        """Record the restart of a container whose earlier run has no exit: only the cgroup of the new run was seen."""
        before = history.before(run)
        if before is not None and before.alive:
            before.exit = replace(before.exit, died_ns=run.start.started_ns, reason=ExitReason.UNSEEN, settled=True)
            self._exits.unseen(history, run, inspection, max(1, inspection.restarts - (history.restarts or 0)))

    def _make_up(self, history: ContainerHistory, run: ContainerRun, inspection: Inspection) -> None:
        """Record what had no event: an exit, or a whole restart."""
        started = inspection.started_ns or 0
        if run.start.started_ns is not None and started > run.start.started_ns + STARTED_DIFFERS_NS:
            if run.alive:
                run.exit = replace(run.exit, died_ns=started, reason=ExitReason.UNSEEN, settled=True)
            times = max(1, inspection.restarts - (history.restarts or 0))
            # A reading of the kernel may have begun the new run already.
            run = history.begin(str(started), started)
            self._exits.unseen(history, run, inspection, times)
        if run.alive and inspection.state in {"exited", "dead"}:
            self._exits.died(run, inspection.finished_ns or inspection.at_ns, inspection.exit_code)
        if inspection.oom_killed and inspection.state != "running":
            self._exits.flagged(run, inspection)

    def _container_removed(self, container_id: str, at_ns: int) -> None:
        history = self._containers.get(container_id)
        if history is not None and not history.destroyed_ns:
            history.destroyed_ns = at_ns
            self._dirty.add(container_id)

    def _stream_up(self, signal: StreamUp) -> None:
        self._events_up = True
        self._gaps.back(EVENTS, signal.at_ns, covered=signal.covered)
        if signal.since_ns is not None:
            self._gaps.back(SIDECAR, signal.at_ns, covered=signal.covered)

    def _tick(self, now_ns: int) -> None:
        self._alive_ns = now_ns
        if self._kernel_ns and now_ns - self._kernel_ns > _NEVER_READ_NS:
            self._gaps.lost(KERNEL, self._kernel_ns, "no reading for 10 s")
        for history in self._containers.values():
            if history.is_quiet():
                continue
            self._exits.tick(history, now_ns, unseen_possible=not self._events_up)
            self._drop_pending(history, now_ns)
            history.forget(now_ns)
        self._unattributed.tick(now_ns, self._runs(), self._elsewhere_new)
        self._finalise(now_ns)
        self._gaps.tick(now_ns, 2 * SETTLE_NS)
        self._forget(now_ns)

    def _runs(self) -> Iterator[ContainerRun]:
        for history in self._containers.values():
            yield from history.runs

    def _drop_pending(self, history: ContainerHistory, now_ns: int) -> None:
        """Forget `oom` events without a kill: the kernel reclaimed memory in time at the container's limit."""
        for run in history.runs:
            if run.kills.pending and run.kills.pending[-1] < now_ns - 2 * SETTLE_NS:
                run.kills.pending.clear()
                self._dirty.add(history.container_id)

    def _finalise(self, now_ns: int) -> None:
        final = from_nanos(now_ns - SETTLE_NS - SECOND_NS)
        by_incident = {run.kills.incident: run for run in self._runs() if run.kills.incident}
        for incident in self._store.provisional():
            quiet = incident.until is not None and incident.until <= final
            if incident.kind is IncidentKind.OOM_KILL and quiet:
                if (run := by_incident.get(incident.id)) is not None:
                    self._kills.describe(run, final=True)
                self._store.finalise(incident.id)
            elif incident.kind in _SETTLED_BY_TIME and quiet:
                self._store.finalise(incident.id)

    def _forget(self, now_ns: int) -> None:
        self._store.forget(from_nanos(now_ns - 600 * SECOND_NS))
        for container_id, history in list(self._containers.items()):
            if history.destroyed_ns and now_ns - history.destroyed_ns > _GONE_AFTER_NS:
                del self._containers[container_id]
                self._dirty.add(container_id)
