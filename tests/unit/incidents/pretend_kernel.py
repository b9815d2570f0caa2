"""A kernel and an engine in miniature: containers, kills, and what each stream says of them, in a plausible order.

Time is simulated in milliseconds. `Machine.run` hands the Book what the sidecar's streams would have handed it, with
the delays and losses asked for, and keeps the truth beside it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.incidents.reducer import IncidentReducer
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.signal import Counter, DockerEvent, Inspection, KernelReading, Owner, StreamUp, Tick, Unreadable

MILLISECOND = 1_000_000
START_NS = 1_795_000_000_000_000_000
BOOT = "boot-1"


@dataclass
class Box:
    """One container: how it is now, and the truth about what happened to it."""

    id: str
    owner: Owner
    cgroup: int | None = None
    kills: int = 0
    started_ms: float = 0.0
    restarts: int = 0
    oom_killed: bool = False
    exit_code: int | None = None
    truth: int = 0
    deaths: int = 0
    dying: bool = False


class Machine:
    """Containers whose processes are OOM-killed, watched by a Book."""

    def __init__(
        self,
        seed: int = 1,
        *,
        poll_ms: float = 50,
        event_ms: float = 15,
        lose_ooms: float = 0.0,
        engine_loses_kills: bool = True,
    ) -> None:
        self.engine_loses_kills = engine_loses_kills
        self.random = random.Random(seed)  # noqa: S311  # the same storm each time
        self.poll_ms, self.event_ms, self.lose_ooms = poll_ms, event_ms, lose_ooms
        self.now_ms = 0.0
        self._delivered_ms = 0.0
        self.host_kills = 7
        self.boxes: dict[str, Box] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._cgroups = itertools.count(100)
        self.watching = True
        self._missed: list[DockerEvent] = []
        self.reducer = self.new_reducer()
        self.ledger: dict[str, Incident] = {}
        self.kept: dict[str, object] = {}
        self._read_host = self.host_kills

    def new_reducer(self) -> IncidentReducer:
        return IncidentReducer(["shop"], lambda incident: incident, engine_loses_kills=self.engine_loses_kills)

    # what happens on the machine

    def container(self, name: str, project: str | None = "shop") -> Box:
        identity = f"{len(self.boxes):02d}{name}".ljust(64, "f")
        box = Box(identity, Owner(name, project, name, 1))
        self.boxes[identity] = box
        return box

    def start(self, box: Box) -> None:
        box.cgroup, box.kills, box.started_ms = next(self._cgroups), 0, self.now_ms
        box.oom_killed, box.exit_code = False, None
        self.event(box, "start")

    def kill_child(self, box: Box, *, raw_events: int = 1) -> None:
        if box.cgroup is None:
            return
        self._count(box)
        box.oom_killed = True
        for _ in range(raw_events):
            self.oom_event(box)

    def kill_main(self, box: Box, *, cgroup_stays_ms: float = 20, restart_ms: float | None = 100) -> None:
        if box.cgroup is None or box.dying:
            return
        box.dying = True
        self._count(box)
        box.oom_killed |= self.oom_event(box)  # Docker sets its flag when it gets the event, and only then
        self.after(cgroup_stays_ms, lambda: self._end(box, 137, restart_ms))

    def end(self, box: Box, code: int, *, signals: tuple[int, ...] = (), restart_ms: float | None = None) -> None:
        for signal in signals:
            self.event(box, "kill", signal=signal)
        self._end(box, code, restart_ms)

    def _count(self, box: Box) -> None:
        self.host_kills += 1
        box.kills += 1
        box.truth += 1

    def _end(self, box: Box, code: int, restart_ms: float | None) -> None:
        if box.cgroup is None:
            return
        box.cgroup, box.exit_code, box.dying = None, code, False
        box.deaths += 1
        self.event(box, "die", exit_code=code)
        if restart_ms is not None:
            box.restarts += 1
            self.after(restart_ms, lambda: self.start(box))

    # what the streams say

    def oom_event(self, box: Box) -> bool:
        told = self.random.random() >= self.lose_ooms
        if told:
            self.event(box, "oom")
        return told

    def event(self, box: Box, action: str, *, exit_code: int | None = None, signal: int | None = None) -> None:
        ns = self.ns()
        message = DockerEvent(ns, action, box.id, box.owner, exit_code=exit_code, signal=signal)
        # The stream keeps the order, however late it is.
        self._delivered_ms = max(self._delivered_ms, self.now_ms + self.random.uniform(1, self.event_ms))
        self.after(self._delivered_ms - self.now_ms, lambda: self._deliver(message))

    def _deliver(self, event: DockerEvent) -> None:
        if not self.watching:
            self._missed.append(event)
            return
        self.reducer.apply(event)
        if event.action in {"oom", "die"}:
            self.read_one(event.container_id)
        self.commit()

    def read_one(self, container_id: str) -> None:
        box = self.boxes.get(container_id)
        if box is None or box.cgroup is None:
            self.reducer.apply(Unreadable(self.ns(), container_id))
            return
        counters = {container_id: Counter(box.cgroup, box.kills)}
        self.reducer.apply(KernelReading(self.ns(), BOOT, None, counters, complete=False))

    def read_all(self) -> None:
        counters = {box.id: Counter(box.cgroup, box.kills) for box in self.boxes.values() if box.cgroup is not None}
        self.reducer.apply(KernelReading(self.ns(), BOOT, self.host_kills, counters))
        self._read_host = self.host_kills
        self.commit()

    def inspect_all(self) -> None:
        for box in self.boxes.values():
            state = "running" if box.cgroup is not None else "exited" if box.exit_code is not None else "created"
            started = START_NS + int(box.started_ms * MILLISECOND) - 5 * MILLISECOND
            seen = Inspection(
                self.ns(),
                box.id,
                box.owner,
                state,
                started,
                None,
                box.exit_code,
                box.oom_killed,
                box.restarts,
                64 << 20,
            )
            self.reducer.apply(seen)
        self.commit()

    def commit(self) -> None:
        for incident in self.reducer.changes():
            self.ledger[incident.id] = incident
        keep, drop = self.reducer.kept()
        self.kept.update(keep)
        for key in drop:
            self.kept.pop(key, None)

    # time

    def ns(self) -> int:
        return START_NS + int(self.now_ms * MILLISECOND)

    def after(self, ms: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_ms + ms, next(self._order), action))

    def begin_watching(self) -> None:
        self.reducer.began(self.ns())
        self.inspect_all()
        self.reducer.apply(StreamUp(self.ns(), None, covered=True))
        self.read_all()
        self._every(self.poll_ms, self._poll)
        self._every(1000, self._heartbeat)
        self._every(250, lambda: self._watched(self._tick))
        self._every(2000, lambda: self._watched(self.inspect_all))

    def _tick(self) -> None:
        self.reducer.apply(Tick(self.ns()))
        self.commit()

    def _heartbeat(self) -> None:
        self._watched(self.read_all)

    def _poll(self) -> None:
        if self.host_kills != self._read_host:
            self._watched(self.read_all)

    def _watched(self, action: Callable[[], object]) -> None:
        if self.watching:
            action()

    def _every(self, ms: float, action: Callable[[], object]) -> None:
        def again() -> None:
            action()
            self.after(ms, again)

        self.after(ms, again)

    def run(self, seconds: float) -> None:
        until = self.now_ms + seconds * 1000
        while self._queue and self._queue[0][0] <= until:
            self.now_ms, _, action = heapq.heappop(self._queue)
            action()
        self.now_ms = until

    def crash_and_return(self, away_seconds: float, *, replay: bool) -> None:
        """SIGKILL the sidecar, and start another on what the ledger holds."""
        self.watching = False
        self._missed.clear()
        self.run(away_seconds)
        missed, self._missed = self._missed, []
        self.watching = True
        self.reducer = IncidentReducer(
            ["shop"], lambda incident: incident, state=self.kept, incidents=list(self.ledger.values())
        )  # fmt: skip
        self.reducer.began(self.ns())
        for event in missed if replay else ():
            self._deliver(event)
        self.reducer.apply(StreamUp(self.ns(), self.ns(), covered=replay))
        self.inspect_all()
        self.read_all()

    # what came of it

    def counts(self) -> Tally[str]:
        found: Tally[str] = Tally()
        for incident in self.of(IncidentKind.OOM_KILL):
            found[incident.container_id or "?"] += incident.count
        return found

    def of(self, *kinds: IncidentKind) -> list[Incident]:
        return sorted((one for one in self.ledger.values() if one.kind in kinds), key=lambda one: one.at)

    def unplaced(self) -> int:
        return sum(one.count for one in self.of(IncidentKind.UNATTRIBUTED_OOM_KILL))
