"""The reducer: signals in, incidents out. It holds the state and asks the rules; it does no I/O and has no clock.

What one container's streams say is taken in the order of arrival. Kills are counted by the kernel's counter of the
container's cgroup where it can be read, by events and ends where it cannot, and everything is held against the host's
own count: what that knows and nobody can place is told too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    Owner,
    OwnerLearned,
    Signal,
    StreamDown,
    StreamUp,
    Tick,
    Unreadable,
)
from sidecar.model.snapshot import Blind

ACCOUNT, ALIVE, CLEAN, VESSEL = "account", "alive_ns", "clean_end", "vessel/"
_LONG_NS = 600 * SECOND_NS  # a sidecar that was asked to end, and stayed away this long, had nothing to watch

_SETTLED_BY_TIME = frozenset(
    {IncidentKind.EXIT, IncidentKind.RESTART, IncidentKind.MASTER_RESTART, IncidentKind.UNATTRIBUTED_OOM_KILL}
)
_UNSEEN_AFTER_NS = 3 * SECOND_NS  # an inspect may be ahead of the events by a moment, not by more
_GONE_AFTER_NS = 30 * SECOND_NS
_NEVER_READ_NS = 10 * SECOND_NS


class IncidentReducer:
    """The state of the incidents' rules.

    Args:
        projects: the Compose projects whose incidents are recorded; those of helpers always are.
        enrich: adds to a new or final incident what was known around its time.
        state: what `changes` gave to keep, as the ledger has it.
        incidents: the incidents of the ledger that may still change.
        engine_loses_kills: whether the engine can miss OOM kills of main processes, as it does under cgroup v2: then a
            SIGKILL from nobody may be one, where the host's count has one too many.

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
        self._account = HostKillCount.from_json(known[ACCOUNT]) if ACCOUNT in known else HostKillCount()
        self._alive_ns: int | None = known.get(ALIVE)
        self._ended_clean = bool(known.get(CLEAN))
        self._ending = False
        self._vessels = {
            key.removeprefix(VESSEL): ContainerHistory.from_json(value)
            for key, value in known.items()
            if key.startswith(VESSEL)
        }
        self._dirty: set[str] = set()
        self._elsewhere: dict[str, int] = {}
        self._elsewhere_new: dict[str, int] = {}
        self._kernel_ns = 0
        self._events_up = False
        self._desk = IncidentStore(self._is_shown, enrich)
        self._desk.restore(recent)
        self._blindness = ObservationGaps(self._desk)
        self._blindness.restore(recent)
        self._kills = Kills(self._desk, self._account)
        self._ends = Exits(self._desk, self._kills)
        self._remainder = UnattributedKills(
            self._desk,
            self._account,
            self._kills,
            self._ends,
            self._blindness,
            engine_loses_kills=engine_loses_kills,
        )

    def apply(self, signal: Signal) -> None:
        """Take one signal."""
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
                self._owned(self._vessel(signal.container_id, signal.owner), signal.owner)
            case ContainerRemoved():
                self._vessel_gone(signal.container_id, signal.at_ns)
            case StreamDown():
                self._events_up = False
                self._blindness.lost(EVENTS, signal.at_ns, signal.why)
            case StreamUp():
                self._stream_up(signal)
            case Tick():
                self._tick(signal.at_ns)

    def changes(self) -> list[Incident]:
        """Return the incidents that changed since the last call."""
        changed = self._desk.take_changes()
        self._dirty.update(one.container_id for one in changed if one.container_id)
        return changed

    def kept(self) -> tuple[dict[str, Any], list[str]]:
        """Return the state to keep that changed since the last call, and the keys to drop."""
        dirty, self._dirty = self._dirty, set()
        keep: dict[str, Any] = {ACCOUNT: self._account.to_json(), ALIVE: self._alive_ns, CLEAN: self._ending}
        keep.update({VESSEL + one: self._vessels[one].to_json() for one in dirty if one in self._vessels})
        return keep, [VESSEL + one for one in dirty if one not in self._vessels]

    def blind(self) -> tuple[Blind, ...]:
        """The blind spans of the last minutes."""
        return self._blindness.shown()

    def exit_reasons(self) -> dict[str, str]:
        """Why each container that is down ended, by container id."""
        return {
            vessel.container_id: life.reason
            for vessel in self._vessels.values()
            if (life := vessel.current) is not None and life.reason and not life.alive
        }

    def ends(self) -> None:
        """The sidecar ends because it was asked to."""
        self._ending = True

    def began(self, at_ns: int) -> None:
        """The sidecar has just started: what lies between its last sign of life and now is a span it did not see."""
        if self._alive_ns is not None:
            why = "it was asked to end" if self._ended_clean else "it was killed, or the machine was"
            self._blindness.lost(SIDECAR, self._alive_ns, why)
            if self._ended_clean and at_ns - self._alive_ns > _LONG_NS:
                self._account.begin_anew()
                self._blindness.nobody_watched(SIDECAR)
        self._kernel_ns = at_ns

    def _is_shown(self, life: ContainerRun) -> bool:
        return life.owner.helper or life.owner.project in self._projects

    def _vessel(self, container_id: str, owner: Owner) -> ContainerHistory:
        vessel = self._vessels.get(container_id)
        if vessel is None:
            vessel = self._vessels[container_id] = ContainerHistory(container_id, owner)
        self._dirty.add(container_id)
        return vessel

    def _owned(self, vessel: ContainerHistory, owner: Owner) -> None:
        """Take whose container it is; the kernel's counters can speak of it before the engine does."""
        vessel.owned_by(owner)
        for life in vessel.lives:
            self._kills.catch_up(life)

    def _event(self, event: DockerEvent) -> None:
        vessel = self._vessel(event.container_id, event.owner)
        self._owned(vessel, event.owner)
        match event.action:
            case "start":
                self._start(vessel, event.ns)
            case "die":
                self._ends.died(vessel.end(event.ns), event.ns, event.exit_code)
            case "oom":
                victim = vessel.dying() or vessel.current or vessel.begin(f"oom-{event.ns}", None)
                self._kills.told(victim, event.ns)
                self._ends.oom_late(victim)
            case "kill" | "stop":  # `restart` comes after the start, and after these two
                if (current := vessel.current) is not None:
                    current.ask(event.ns, event.signal if event.action == "kill" else None)
                    self._ends.asked_late(current, event.ns)
            case "destroy":
                vessel.destroyed_ns = event.ns

    def _start(self, vessel: ContainerHistory, at_ns: int) -> None:
        life = vessel.starting(at_ns) or vessel.begin(str(at_ns), at_ns)
        life.started_ns = at_ns
        vessel.unseen_since_ns = 0
        before = vessel.before(life)
        if before is not None and before.alive:  # its end was never told of
            self._ends.died(before, at_ns, None)
        self._ends.started(vessel, life, at_ns)
        if vessel.restarts is not None:
            vessel.restarts += 1

    def _kernel(self, reading: KernelReading) -> None:
        first = self._account.total is None or self._account.boot_id != reading.boot_id
        for container_id, counter in reading.containers.items():
            vessel = self._vessels.get(container_id)
            if vessel is None:
                vessel = self._vessel(container_id, Owner(container_id[:12]))
            life = vessel.of_cgroup(counter.cgroup, reading.at_ns)
            life.peak_bytes = counter.peak_bytes or life.peak_bytes
            if not reading.complete:
                self._account.look(reading.at_ns, counter.cgroup, counter.kills)
            if life.kernel is not None and counter.kills <= life.kernel:
                continue  # nothing new, or a reading that was overtaken by a later one
            self._dirty.add(container_id)
            if first and life.kernel is None and reading.complete:
                self._kills.before_watching(life, counter.kills, reading.at_ns)
            else:
                self._kills.counted(life, counter.kills, reading.at_ns, self._account.read_ns)
        if not reading.complete:
            return
        counters = {container.cgroup: container.kills for container in reading.containers.values()}
        self._account.read(reading.at_ns, reading.boot_id, reading.host_kills, counters)
        self._look_elsewhere(reading, first=first)
        self._kernel_ns = reading.at_ns
        self._blindness.back(KERNEL, reading.at_ns, covered=True)

    def _look_elsewhere(self, reading: KernelReading, *, first: bool) -> None:
        if not reading.elsewhere:
            return
        for path, kills in reading.elsewhere.items():
            grown = kills - self._elsewhere.get(path, kills if first or not self._elsewhere else 0)
            if grown > 0:
                self._elsewhere_new[path] = self._elsewhere_new.get(path, 0) + grown
        self._elsewhere = dict(reading.elsewhere)

    def _unreadable(self, signal: Unreadable) -> None:
        vessel = self._vessels.get(signal.container_id)
        life = None if vessel is None else (vessel.dying() or vessel.current)
        if life is not None and life.pending:
            self._dirty.add(signal.container_id)
            self._kills.unreadable(life, signal.at_ns)

    def _inspection(self, seen: Inspection) -> None:
        vessel = self._vessel(seen.container_id, seen.owner)
        self._owned(vessel, seen.owner)
        life = vessel.current
        if life is None:
            if seen.started_ns is None:
                return
            life = vessel.begin(str(seen.started_ns), seen.started_ns)
        settled = seen.at_ns - life.cgroup_seen_ns > _UNSEEN_AFTER_NS  # before that, its start event may be on its way
        if life.started_ns is None and seen.state == "running" and settled:
            life.started_ns = seen.started_ns
            self._restarted_unseen(vessel, life, seen)
        life.memory_limit_bytes = seen.memory_limit_bytes
        if vessel.restarts is None:
            vessel.restarts = seen.restarts
        if self._agrees(life, seen):
            vessel.unseen_since_ns = 0
            if seen.oom_killed and seen.state != "running":
                self._ends.flagged(life, seen)
            return
        if not vessel.unseen_since_ns:
            vessel.unseen_since_ns = seen.at_ns
        elif seen.at_ns - vessel.unseen_since_ns >= _UNSEEN_AFTER_NS:
            vessel.unseen_since_ns = 0
            self._make_up(vessel, life, seen)

    def _agrees(self, life: ContainerRun, seen: Inspection) -> bool:
        if seen.started_ns is None or life.started_ns is None:
            return True
        if seen.started_ns > life.started_ns + STARTED_DIFFERS_NS:
            return False
        return not (life.alive and seen.state in {"exited", "dead"})

    def _restarted_unseen(self, vessel: ContainerHistory, life: ContainerRun, seen: Inspection) -> None:
        """Record the restart of a container whose life before has no end: only its cgroup showed the new one."""
        before = vessel.before(life)
        if before is not None and before.alive:
            before.died_ns, before.reason, before.settled = life.started_ns, ExitReason.UNSEEN, True
            self._ends.unseen(vessel, life, seen, max(1, seen.restarts - (vessel.restarts or 0)))

    def _make_up(self, vessel: ContainerHistory, life: ContainerRun, seen: Inspection) -> None:
        """Record what no event told of: an end, or a whole restart."""
        started = seen.started_ns or 0
        if life.started_ns is not None and started > life.started_ns + STARTED_DIFFERS_NS:
            if life.alive:
                life.died_ns, life.reason, life.settled = started, ExitReason.UNSEEN, True
            times = max(1, seen.restarts - (vessel.restarts or 0))
            # A reading of the kernel may have begun the new life already.
            life = vessel.begin(str(started), started)
            self._ends.unseen(vessel, life, seen, times)
        if life.alive and seen.state in {"exited", "dead"}:
            self._ends.died(life, seen.finished_ns or seen.at_ns, seen.exit_code)
        if seen.oom_killed and seen.state != "running":
            self._ends.flagged(life, seen)

    def _vessel_gone(self, container_id: str, at_ns: int) -> None:
        vessel = self._vessels.get(container_id)
        if vessel is not None and not vessel.destroyed_ns:
            vessel.destroyed_ns = at_ns
            self._dirty.add(container_id)

    def _stream_up(self, signal: StreamUp) -> None:
        self._events_up = True
        self._blindness.back(EVENTS, signal.at_ns, covered=signal.covered)
        if signal.since_ns is not None:
            self._blindness.back(SIDECAR, signal.at_ns, covered=signal.covered)

    def _tick(self, now_ns: int) -> None:
        self._alive_ns = now_ns
        if self._kernel_ns and now_ns - self._kernel_ns > _NEVER_READ_NS:
            self._blindness.lost(KERNEL, self._kernel_ns, "no reading for 10 s")
        for vessel in self._vessels.values():
            if vessel.is_quiet():
                continue
            self._ends.tick(vessel, now_ns, unseen_possible=not self._events_up)
            self._drop_pending(vessel, now_ns)
            vessel.forget(now_ns)
        self._remainder.tick(now_ns, self._lives(), self._elsewhere_new)
        self._finalise(now_ns)
        self._blindness.tick(now_ns, 2 * SETTLE_NS)
        self._forget(now_ns)

    def _lives(self) -> Iterator[ContainerRun]:
        for vessel in self._vessels.values():
            yield from vessel.lives

    def _drop_pending(self, vessel: ContainerHistory, now_ns: int) -> None:
        """Forget `oom` events for which there was no kill: a limit hit that ended well."""
        for life in vessel.lives:
            if life.pending and life.pending[-1] < now_ns - 2 * SETTLE_NS:
                life.pending.clear()
                self._dirty.add(vessel.container_id)

    def _finalise(self, now_ns: int) -> None:
        final = from_nanos(now_ns - SETTLE_NS - SECOND_NS)
        by_incident = {life.incident: life for life in self._lives() if life.incident}
        for incident in self._desk.provisional():
            quiet = incident.until is not None and incident.until <= final
            if incident.kind is IncidentKind.OOM_KILL and quiet:
                if (life := by_incident.get(incident.id)) is not None:
                    self._kills.describe(life, final=True)
                self._desk.finalise(incident.id)
            elif incident.kind in _SETTLED_BY_TIME and quiet:
                self._desk.finalise(incident.id)

    def _forget(self, now_ns: int) -> None:
        self._desk.forget(from_nanos(now_ns - 600 * SECOND_NS))
        for container_id, vessel in list(self._vessels.items()):
            if vessel.destroyed_ns and now_ns - vessel.destroyed_ns > _GONE_AFTER_NS:
                del self._vessels[container_id]
                self._dirty.add(container_id)
