"""Spans in which a source gave no data: from when to when, and whether anything was missed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.common.times import SECOND_NS, from_nanos, nanos
from sidecar.common.units import plural
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity, identity
from sidecar.model.incident_kinds import KINDS
from sidecar.model.signal import NotRecorded
from sidecar.model.snapshot import Blind

SIDECAR, EVENTS, KERNEL, LEDGER = "sidecar", "events", "kernel", "ledger"
_SUBJECTS = {
    SIDECAR: "the monitor was not running",
    EVENTS: "Docker's events did not arrive",
    KERNEL: "the kernel's counters could not be read",
    LEDGER: "incidents could not be recorded",
}


@dataclass(slots=True)
class ObservationGap:
    """One span of one source. `until_ns` is None while it lasts; `idle` is true if there was nothing to watch."""

    source: str
    since_ns: int
    until_ns: int | None
    incident_id: str
    covered: bool = False
    settled: bool = False
    idle: bool = False
    unplaced: int = 0


class ObservationGaps:
    """Opens and ends the spans, and records each span as one incident."""

    def __init__(self, store: IncidentStore) -> None:
        self._store = store
        self._spans: list[ObservationGap] = []

    def restore(self, incidents: list[Incident]) -> None:
        """Continue the spans whose incidents are open or recent in the ledger."""
        for incident in incidents:
            if incident.kind is IncidentKind.BLIND and incident.until is None:
                source = next((item.text for item in incident.evidence if item.what == "span"), EVENTS)
                if source not in _SUBJECTS:
                    continue  # the silence of another node: the leader of the cluster ends it
                self._spans.append(ObservationGap(source, nanos(incident.at), None, incident.id))

    def lost(self, source: str, at_ns: int, why: str) -> None:
        """Begin the gap of a source that gives no data any more."""
        if any(span.source == source and span.until_ns is None for span in self._spans):
            return
        incident = Incident(
            id=identity(IncidentKind.BLIND, "", source, at_ns),
            kind=IncidentKind.BLIND,
            severity=KINDS[IncidentKind.BLIND].severity,
            at=from_nanos(at_ns),
            text=f"{_SUBJECTS[source]} from {_clock(at_ns)} UTC on: {why}",
            evidence=(EvidenceItem("span", source, from_nanos(at_ns), (why,)),),
        )
        self._store.put(incident)
        self._spans.append(ObservationGap(source, at_ns, None, incident.id))

    def back(self, source: str, at_ns: int, *, covered: bool) -> None:
        """End the gap of a source; `covered` if it delivered everything from the time between."""
        for span in self._spans:
            if span.source == source and span.until_ns is None:
                span.until_ns, span.covered = at_ns, covered
                self._revise(span)

    def not_recorded(self, gap: NotRecorded) -> None:
        """Record until when the ledger could not be written. Each new try of the same span calls this again."""
        span = next((span for span in self._spans if (span.source, span.since_ns) == (LEDGER, gap.since_ns)), None)
        if span is None:
            self.lost(LEDGER, gap.since_ns, gap.why)
            span = self._spans[-1]
        span.until_ns, span.covered = gap.until_ns, not gap.lost
        self._revise(span)

    def nobody_watched(self, source: str) -> None:
        """Mark the gap of a source as harmless: the stack was down, so there was nothing to watch."""
        for span in self._spans:
            if span.source == source and span.until_ns is None:
                span.idle = True

    def covers(self, since_ns: int, until_ns: int) -> bool:
        """Return whether any span, ended or not, overlaps this time."""
        return any(
            span.since_ns - SECOND_NS <= until_ns and (span.until_ns is None or span.until_ns + SECOND_NS >= since_ns)
            for span in self._spans
        )

    def unplaced(self, since_ns: int, until_ns: int, kills: int) -> None:
        """Add kills that the host counted within a gap and that have no container; negative: some have one now."""
        for span in self._spans:
            if span.until_ns is not None and span.since_ns <= until_ns and since_ns <= span.until_ns:
                span.unplaced += kills
                self._revise(span)

    def tick(self, now_ns: int, settle_ns: int) -> None:
        """Make ended spans final, and forget old ones."""
        for span in self._spans:
            if span.until_ns is not None and not span.settled and now_ns - span.until_ns >= settle_ns:
                span.settled = True
                self._store.finalise(span.incident_id)
        self._spans = [
            span for span in self._spans if span.until_ns is None or now_ns - span.until_ns < 600 * SECOND_NS
        ]

    def shown(self) -> tuple[Blind, ...]:
        """Return the gaps of the last ten minutes, for views."""
        return tuple(self._shown(span) for span in self._spans)

    def _shown(self, span: ObservationGap) -> Blind:
        incident = self._store.get(span.incident_id)
        text = incident.text if incident else _SUBJECTS[span.source]
        until = None if span.until_ns is None else from_nanos(span.until_ns)
        return Blind(from_nanos(span.since_ns), until, span.source, span.covered and not span.unplaced, text)

    def _revise(self, span: ObservationGap) -> None:
        if span.until_ns is None:
            return
        length = (span.until_ns - span.since_ns) / SECOND_NS
        when = f"from {_clock(span.since_ns)} to {_clock(span.until_ns)} UTC ({length:.1f} s)"
        self._store.revise(
            span.incident_id,
            until=from_nanos(span.until_ns),
            severity=Severity.INFO if _is_harmless(span) else Severity.WARN,
            text=f"{_SUBJECTS[span.source]} {when}: {_made_up_for(span)}",
        )


def _is_harmless(span: ObservationGap) -> bool:
    return span.idle or (span.covered and not span.unplaced)


def _made_up_for(span: ObservationGap) -> str:
    if span.idle:
        return "it was stopped on request"
    if span.unplaced:
        return f"{plural(span.unplaced, 'OOM kill')} of that time in no known container"
    if span.covered:
        return "everything was read afterwards"
    return "exits and restarts may be missing; no OOM kill was missed"


def _clock(ns: int) -> str:
    return f"{from_nanos(ns):%H:%M:%S}"


def blind_seconds(incidents: Iterable[Incident], now: datetime) -> float:
    """Return how many seconds the monitor was blind in total; blind `incidents` that overlap count once.

    A span whose data came in later does not count.
    """
    total, reached = 0.0, datetime.min.replace(tzinfo=UTC)
    for span in sorted(incidents, key=lambda incident: incident.at):
        if span.until is not None and span.severity is Severity.INFO:
            continue
        begin, end = max(span.at, reached), span.until or now
        total += max(0.0, (end - begin).total_seconds())
        reached = max(reached, end)
    return total
