"""From signals to committed incidents: one thread processes all signals in order, and writes them down.

Events are in the journal before the rules see them. Views show only what is on the disk.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from typing import Any

from sidecar.common.backoff import Backoff
from sidecar.common.errors import LedgerError
from sidecar.common.times import SECOND_NS, from_nanos, nanos
from sidecar.incidents.gaps import LEDGER
from sidecar.incidents.reducer import IncidentReducer
from sidecar.ledger.ledger import Batch, Ledger
from sidecar.ledger.ledger_reader import RECORDED
from sidecar.model.incident import FINAL, Incident, IncidentKind
from sidecar.model.observation import Lag
from sidecar.model.signal import DockerEvent, Gathered, Noted, NotRecorded, Signal, StreamUp, Tick
from sidecar.model.snapshot import Blind
from sidecar.monitor.assembly import Recorded

BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LagMeter:
    """Collects durations in any thread, and returns their histogram to any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration. A negative one (two clocks disagree) counts as 0."""
        with self._lock:
            self._counts[bisect_left(BOUNDS_SECONDS, max(0.0, seconds))] += 1
            self._sum_seconds += max(0.0, seconds)

    def reading(self) -> Lag:
        """Return the histogram of all durations so far."""
        with self._lock:
            sums = list(accumulate(self._counts))
            return Lag(tuple(zip(BOUNDS_SECONDS, sums, strict=False)), sums[-1], self._sum_seconds)


_log = logging.getLogger(__name__)

EVENTS_ALIVE = "events_alive_ns"

_TICK_SECONDS = 0.25
_MOST_AT_ONCE = 500
_MOST_WAITING = 20_000  # signals and events that wait in memory while the ledger cannot be written
_BEAT_NS = SECOND_NS  # how old the ledger's sign of life may get
_PRUNE_NS = 60 * SECOND_NS
_RECENT = timedelta(minutes=10)
_MOST_RECENT = 2000
_RAW_CHARACTERS = 4096  # labels can make one event a megabyte long
_TIMED = frozenset({"oom", "die"})

Put = Signal | Noted | Gathered | tuple[Incident, ...]
Given = Put | None


class Recorder:
    """The only writer of the ledger.

    Args:
        ledger: the ledger to write.
        reducer: the rules.
        alive_ns: returns the time up to which the event stream has put everything; called before the queue is emptied.
        publish: gets the incidents of each commit, in the recorder's thread.
        oom_kills: the kills that the ledger already has for each container.
        lag: measures the time from an event's own time stamp to its commit.
        node: the cluster node of all signals and incidents that are put here; "" without a cluster.
        now_ns: the clock, in nanoseconds since 1970.
        monotonic_ns: a clock in nanoseconds that never jumps.

    """

    def __init__(  # noqa: PLR0913  # each is one part of the monitor, passed by name
        self,
        ledger: Ledger,
        reducer: IncidentReducer,
        *,
        alive_ns: Callable[[], int],
        publish: Callable[[Sequence[Incident]], None],
        oom_kills: Mapping[str, int],
        lag: LagMeter,
        now_ns: Callable[[], int],
        node: str = "",
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._ledger, self._reducer = ledger, reducer
        self._alive_ns, self._publish, self._now_ns = alive_ns, publish, now_ns
        self._monotonic_ns = monotonic_ns
        self._lag = lag
        self._node = node or None
        self._queue: queue.SimpleQueue[Given] = queue.SimpleQueue()
        self._unsaved: dict[str, Incident] = {}
        self._unsaved_keeps: dict[str, Any] = {}
        self._unsaved_drops: set[str] = set()
        self._unjournalled: list[DockerEvent] = []
        self._waiting: list[Put] = []
        self._counts: Counter[str] = Counter(oom_kills)
        self._recent: dict[str, Incident] = {}
        self._noted: dict[str, str] = {}  # since the start; the rules got earlier notes with the incidents
        self._known = Recorded(oom_kills=dict(oom_kills))
        self._committed_ns = self._recorded_ns = self._pruned_ns = self._ticked_ns = 0
        self._began_ns = now_ns()
        self._files_begun = len(ledger.notes)
        self._not_recorded: NotRecorded | None = None  # the span that has not ended
        self._live_since_ns = 0
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self, recent: Iterable[Incident]) -> None:
        """Start; `recent` are the ledger's incidents of the last minutes."""
        self._recent = {incident.id: incident for incident in recent}  # their kills are in `oom_kills` already
        self._pruned_ns = self._monotonic_ns()
        self._thread.start()

    def stop(self) -> None:
        """Write down all signals so far, and end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def put(self, given: Put) -> None:
        """Add a signal, or incidents of other rules. Never waits; any thread."""
        self._queue.put(given)

    def known(self) -> Recorded:
        """Return the recorded incidents; any thread."""
        return self._known

    def _run(self) -> None:
        running = True
        while running:
            try:
                running = self._turn()
            except Exception:  # noqa: BLE001  # the top of a thread
                _log.exception("recording failed")

    def _turn(self) -> bool:
        """Process all queued signals as one batch. Returns False after stop."""
        first = self._first()
        # Before the queue is emptied, so that the ledger never claims a later time than it has.
        alive_ns, taken_ns = self._alive_ns(), self._now_ns()
        given: list[Given] = [*self._waiting, *first]
        self._waiting = []
        while len(given) < _MOST_AT_ONCE and not self._queue.empty():
            given.append(self._queue.get())
        running = None not in given
        if not running:
            self._reducer.stop()
        turn_ns = self._monotonic_ns()
        if not running or turn_ns - self._ticked_ns >= _TICK_SECONDS * SECOND_NS:
            self._ticked_ns = turn_ns
            given.append(Tick(self._now_ns()))
        self._work([put for put in given if put is not None], alive_ns, taken_ns, turn_ns, last=not running)
        return running

    def _first(self) -> list[Given]:
        try:
            return [self._queue.get(timeout=_TICK_SECONDS)]
        except queue.Empty:
            return []

    def _work(self, given: Sequence[Put], alive_ns: int, taken_ns: int, turn_ns: int, *, last: bool) -> None:
        """Journal the events, apply the rules, and commit both. What cannot be written waits for the next turn."""
        if not self._backoff.due(turn_ns / SECOND_NS) and not last:
            self._keep_waiting(given)
            return
        applied: list[DockerEvent] | None = None
        try:
            with self._ledger.commit() as batch:
                for event in self._unjournalled:
                    batch.journal(event)
                new = {id(put) for put in given if isinstance(put, DockerEvent) and _journalled(batch, put)}
                applied = [put for put in given if isinstance(put, DockerEvent) and id(put) in new]
                if self._not_recorded is not None:
                    self._not_recorded = replace(self._not_recorded, until_ns=taken_ns)
                    self._reducer.not_recorded(self._not_recorded)
                self._apply(put for put in given if not isinstance(put, DockerEvent) or id(put) in new)
                if applied or self._unsaved or self._unsaved_drops or last or turn_ns - self._committed_ns >= _BEAT_NS:
                    self._write(batch, alive_ns, taken_ns)
                    self._committed_ns = turn_ns
        except LedgerError as error:
            self._failed(error, turn_ns)
            if applied is None:
                self._keep_waiting(given)
            else:
                self._unjournalled = [*self._unjournalled, *map(_short, applied)][-_MOST_WAITING:]
            return
        self._succeeded(applied, turn_ns)

    def _keep_waiting(self, given: Sequence[Put]) -> None:
        self._waiting = [*given][-_MOST_WAITING:]
        if self._not_recorded is not None:
            lost = self._not_recorded.lost + len(given) - len(self._waiting)
            self._not_recorded = replace(self._not_recorded, lost=lost)

    def _apply(self, given: Iterable[Put]) -> None:
        for put in given:
            try:
                self._take(put)
            except Exception:  # noqa: BLE001  # a signal that breaks a rule must not stop the others
                _log.exception("a rule failed on %.300r", put)
        self._unsaved.update((incident.id, self._with_note(incident)) for incident in self._reducer.changes())
        keeps, drops = self._reducer.kept()
        self._unsaved_keeps.update(keeps)
        self._unsaved_drops.update(drops)

    def _take(self, put: Put) -> None:
        if isinstance(put, tuple):
            self._unsaved.update((incident.id, self._with_note(incident)) for incident in put)
            return
        if isinstance(put, Noted):
            self._note(put)
            return
        if isinstance(put, Gathered):
            self._gather(put.incidents)
            return
        if isinstance(put, StreamUp):
            self._live_since_ns = put.at_ns
        self._reducer.apply(put)

    def _note(self, noted: Noted) -> None:
        """Add a person's note to an incident, however old. An incident that is not in the ledger is ignored."""
        known = self._unsaved.get(noted.incident_id) or self._recent.get(noted.incident_id)
        incident = known or self._ledger.incident(noted.incident_id)
        if incident is not None:
            self._noted[incident.id] = noted.text
            self._unsaved[incident.id] = replace(incident, person_note=noted.text, revision=incident.revision + 1)

    def _gather(self, incidents: Iterable[Incident]) -> None:
        """Add another node's incidents. They may come twice, as after a silence, but must count once."""
        for incident in incidents:
            known = (
                self._unsaved.get(incident.id) or self._recent.get(incident.id) or self._ledger.incident(incident.id)
            )
            if known is not None:
                if incident.revision <= known.revision and (known.state == FINAL or incident.state != FINAL):
                    continue
                self._recent.setdefault(known.id, known)  # so that its kills do not count a second time
            self._unsaved[incident.id] = self._with_note(incident)

    def _with_note(self, incident: Incident) -> Incident:
        """Return a rule's incident with the fields that the rule does not know: the node, and a person's note."""
        if incident.node is None and self._node is not None:
            incident = replace(incident, node=self._node)
        text = self._noted.get(incident.id)
        if text is None:
            return incident
        before = self._unsaved.get(incident.id) or self._recent.get(incident.id) or incident
        return replace(incident, person_note=text, revision=max(incident.revision, before.revision + 1))

    def _write(self, batch: Batch, alive_ns: int, taken_ns: int) -> None:
        for incident in self._unsaved.values():
            batch.upsert(incident)
        for key in self._unsaved_drops:
            batch.drop(key)
            self._unsaved_keeps.pop(key, None)
        for key, value in self._unsaved_keeps.items():
            batch.keep(key, value)
        batch.keep(EVENTS_ALIVE, alive_ns)
        batch.keep(RECORDED, taken_ns)
        self._recorded_ns = taken_ns

    def _failed(self, error: LedgerError, turn_ns: int) -> None:
        if not self._backoff.failures:
            _log.error("%s", error.line())
        self._backoff = self._backoff.failed(turn_ns / SECOND_NS)
        if self._not_recorded is None:
            since = self._known.recorded_until
            since_ns = self._began_ns if since is None else nanos(since)
            self._not_recorded = NotRecorded(since_ns, since_ns, lost=0, why=error.what)
        self._known = replace(
            self._known, problem=f"incidents cannot be recorded: {error.what}", blind=self._blind_by(error)
        )

    def _blind_by(self, error: LedgerError) -> tuple[Blind, ...]:
        """Return the known gaps and the current gap of the ledger, which no disk can hold yet."""
        assert self._not_recorded is not None  # noqa: S101  the only caller has set it
        since = from_nanos(self._not_recorded.since_ns)
        text = f"incidents could not be recorded from {since:%H:%M:%S} UTC on: {error.what}"
        others = (span for span in self._known.blind if span.source != LEDGER or span.until is not None)
        return (*others, Blind(since, None, LEDGER, covered=False, text=text))

    def _succeeded(self, events: Sequence[DockerEvent], turn_ns: int) -> None:
        if self._backoff.failures:
            _log.warning("the ledger can be written again")
        self._not_recorded = None
        self._backoff = self._backoff.succeeded()
        written_ns = self._now_ns()
        for event in events:
            if event.action in _TIMED and event.ns >= self._live_since_ns:
                self._lag.observe((written_ns - event.ns) / SECOND_NS)
        if self._committed_ns == turn_ns:
            self._publish_committed()
        if self._files_begun != len(self._ledger.notes):
            self._files_begun = len(self._ledger.notes)
            self._write_anew()
        if turn_ns - self._pruned_ns >= _PRUNE_NS:
            self._pruned_ns = turn_ns
            self._prune()

    def _write_anew(self) -> None:
        """Write the last minutes into a new ledger that replaces a lost one; report what was before them as missing."""
        self._unsaved = {**self._recent, **self._unsaved}
        kept_ns = self._now_ns() - int(_RECENT.total_seconds()) * SECOND_NS
        if self._began_ns < kept_ns:
            why = "the ledger's file was removed or is damaged"
            # Nobody knows how many incidents were lost. With 0, the span would count as complete.
            self._reducer.not_recorded(NotRecorded(self._began_ns, kept_ns, lost=1, why=why))

    def _publish_committed(self) -> None:
        """Publish what is on the disk now."""
        incidents = list(self._unsaved.values())
        self._unsaved, self._unsaved_keeps, self._unsaved_drops, self._unjournalled = {}, {}, set(), []
        for incident in incidents:
            self._remember(incident)
        self._forget(incidents)
        self._known = Recorded(
            incidents=tuple(sorted(self._recent.values(), key=lambda incident: incident.at, reverse=True)),
            oom_kills=dict(self._counts),
            exit_reasons=self._reducer.exit_reasons(),
            blind=self._reducer.blind(),
            recorded_until=from_nanos(self._recorded_ns),
        )
        if incidents:
            self._publish(incidents)

    def _remember(self, incident: Incident) -> None:
        before = self._recent.pop(incident.id, None)
        self._recent[incident.id] = incident
        if incident.kind is IncidentKind.OOM_KILL and incident.container_id is not None:
            self._counts[incident.container_id] += incident.count - (before.count if before else 0)

    def _forget(self, newest: Sequence[Incident]) -> None:
        if not newest:
            return
        oldest = max(incident.at for incident in newest) - _RECENT
        for incident in [
            incident for incident in self._recent.values() if incident.until is not None and incident.until < oldest
        ]:
            del self._recent[incident.id]
        while len(self._recent) > _MOST_RECENT:
            del self._recent[next(iter(self._recent))]

    def _prune(self) -> None:
        try:
            self._ledger.prune(from_nanos(self._now_ns()))
        except LedgerError as error:
            _log.warning("%s", error.line())


def _short(event: DockerEvent) -> DockerEvent:
    return event if len(event.raw) <= _RAW_CHARACTERS else replace(event, raw=event.raw[:_RAW_CHARACTERS])


def _journalled(batch: Batch, event: DockerEvent) -> bool:
    """Return whether an event is new. An event that the journal cannot hold counts as new and stops no other."""
    try:
        return batch.journal(_short(event))
    except (ValueError, OverflowError) as error:
        _log.warning("the journal cannot hold an event: %s", error)
        return True
