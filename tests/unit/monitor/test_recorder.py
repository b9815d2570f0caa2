"""The recorder: committed before it is shown, once however often it is told, and nothing lost when the disk refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.common.errors import LedgerError
from sidecar.incidents.reducer import IncidentReducer
from sidecar.ledger.ledger import Batch, Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.model import document
from sidecar.model.history import IncidentQuery
from sidecar.model.incident import FINAL, PROVISIONAL, Incident, IncidentKind, Severity
from sidecar.model.signal import Counter, DockerEvent, Gathered, KernelReading, Noted, Owner
from sidecar.monitor import recorder
from sidecar.monitor.recorder import EVENTS_ALIVE, LagMeter, Recorder
from tests.fakes.ledger_samples import events_of

ID = "a" * 64
OWNER = Owner("shop-web-1", "shop", "web", 1)


class Moody(Ledger):
    """A ledger whose disk is full while `refusing`."""

    refusing = False

    @contextmanager
    def commit(self) -> Iterator[Batch]:
        with super().commit() as batch:
            yield batch
            if self.refusing:
                raise LedgerError("no space left on the device")


class Rig:
    """A recorder over a real ledger, with a clock that goes on by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shift_ns = 0
        self.published: list[Incident] = []
        self.on_disk_when_published: list[bool] = []
        self.lag = LagMeter()
        self.ledger = Moody(folder, lambda: datetime.now(UTC))
        assert isinstance(self.ledger, Moody)
        self.recorder = self._recorder(self.ledger)
        self.recorder.start([])

    def now_ns(self) -> int:
        return time.time_ns() + self.shift_ns

    def _recorder(self, ledger: Ledger) -> Recorder:
        state: dict[str, Any] = ledger.state()
        reducer = IncidentReducer(["shop"], lambda incident: incident, state=state, incidents=ledger.open_incidents(0))
        return Recorder(
            ledger,
            reducer,
            alive_ns=lambda: 42,
            publish=self._publish,
            oom_kills=LedgerReader(self.folder).oom_kills(),
            lag=self.lag,
            now_ns=self.now_ns,
        )

    def _publish(self, incidents: Sequence[Incident]) -> None:
        reader = LedgerReader(self.folder)
        self.on_disk_when_published += [same(reader.incident(incident.id), incident) for incident in incidents]
        self.published += incidents

    def again(self) -> None:
        """Another recorder on the same ledger, as after a crash: this one is told nothing that was not kept."""
        self.recorder.stop()
        self.recorder = self._recorder(self.ledger)
        self.recorder.start([])


def same(found: Incident | None, wanted: Incident) -> bool:
    return document.dumps(found) == document.dumps(wanted)  # a document's times end at milliseconds


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.recorder.stop()
    made.ledger.close()


def reading(kills: int) -> KernelReading:
    return KernelReading(time.time_ns(), "boot", 7 + kills, {ID: Counter(1, kills)})


def kill(rig: Rig) -> DockerEvent:
    """Let the container start, lose a process, and wait until that is on record."""
    rig.recorder.put(DockerEvent(time.time_ns(), "start", ID, OWNER))
    rig.recorder.put(reading(0))
    event = DockerEvent(time.time_ns(), "oom", ID, OWNER, raw="x" * 10_000)
    rig.recorder.put(event)
    rig.recorder.put(reading(1))
    until(lambda: all(map(_has_kill, (rig.recorder.known().incidents, rig.published))))  # known first, then published
    return event


def _has_kill(incidents: Sequence[Incident]) -> bool:
    return any(incident.kind is IncidentKind.OOM_KILL and incident.count for incident in incidents)


def test_what_is_published_is_on_the_disk(rig: Rig) -> None:
    kill(rig)
    assert rig.published
    assert all(rig.on_disk_when_published)
    assert rig.recorder.known().oom_kills == {ID: 1}
    assert rig.ledger.state(EVENTS_ALIVE) == {EVENTS_ALIVE: 42}


def test_an_event_told_twice_counts_once(rig: Rig) -> None:
    event = kill(rig)
    rig.recorder.put(event)
    rig.recorder.put(event)
    rig.recorder.stop()
    (incident,) = [
        incident for incident in LedgerReader(rig.folder).incidents() if incident.kind is IncidentKind.OOM_KILL
    ]
    assert (incident.count, incident.raw_events) == (1, 1)


def test_an_event_told_again_after_a_restart_counts_once(rig: Rig) -> None:
    event = kill(rig)
    rig.again()
    rig.recorder.put(event)
    rig.recorder.put(reading(1))
    rig.recorder.stop()
    (incident,) = [
        incident for incident in LedgerReader(rig.folder).incidents() if incident.kind is IncidentKind.OOM_KILL
    ]
    assert (incident.count, incident.raw_events) == (1, 1)


def test_events_are_kept_short_in_the_journal(rig: Rig) -> None:
    kill(rig)
    (event,) = [event for event in events_of(LedgerReader(rig.folder), ID) if event.action == "oom"]
    assert len(event.raw) == 4096


def test_while_the_disk_refuses_nothing_is_shown_and_nothing_is_lost(rig: Rig) -> None:
    assert isinstance(rig.ledger, Moody)
    until(lambda: rig.recorder.known().recorded_until is not None)
    rig.ledger.refusing = True
    rig.recorder.put(DockerEvent(time.time_ns(), "start", ID, OWNER))
    rig.recorder.put(reading(0))
    rig.recorder.put(DockerEvent(time.time_ns(), "oom", ID, OWNER))
    rig.recorder.put(reading(1))
    until(lambda: "no space left" in rig.recorder.known().problem)
    assert rig.published == []
    known = rig.recorder.known()
    (blind,) = known.blind
    assert (blind.source, blind.until, blind.since) == ("ledger", None, known.recorded_until)
    assert LedgerReader(rig.folder).recorded_until() == known.recorded_until
    rig.ledger.refusing = False
    until(lambda: bool(rig.published))
    rig.recorder.stop()
    (incident,) = [
        incident for incident in LedgerReader(rig.folder).incidents() if incident.kind is IncidentKind.OOM_KILL
    ]
    assert (incident.count, incident.raw_events) == (1, 1)
    assert [event.action for event in events_of(LedgerReader(rig.folder), ID)] == ["start", "oom"]
    assert rig.recorder.known().problem == ""
    (span,) = LedgerReader(rig.folder).incidents(IncidentQuery(kinds=(IncidentKind.BLIND,)))
    assert (abs(span.at - blind.since) < timedelta(milliseconds=2), span.severity) == (
        True,
        "info",
    )  # what waited was recorded after all
    assert span.text.startswith("incidents could not be recorded from ")
    assert span.text.endswith("everything was read afterwards")
    assert (LedgerReader(rig.folder).recorded_until() or span.at) >= (span.until or span.at)


def test_what_waited_too_long_for_a_full_disk_is_said_to_be_missing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_MOST_WAITING", 3)
    assert isinstance(rig.ledger, Moody)
    rig.ledger.refusing = True
    until(lambda: "no space left" in rig.recorder.known().problem)
    for number in range(20):
        rig.recorder.put(reading(number))
        time.sleep(0.01)
    rig.ledger.refusing = False
    until(lambda: not rig.recorder.known().problem)
    rig.recorder.stop()
    (span,) = LedgerReader(rig.folder).incidents(IncidentQuery(kinds=(IncidentKind.BLIND,)))
    assert (span.severity, "may be missing" in span.text) == ("warn", True)


def test_incidents_of_other_rules_are_recorded_too(rig: Rig) -> None:
    incident = Incident("b" * 16, IncidentKind.MEMORY_HIGH, Severity.WARN, datetime.now(UTC), "95 %")
    rig.recorder.put((incident,))
    until(lambda: incident in rig.recorder.known().incidents)
    assert same(LedgerReader(rig.folder).incident(incident.id), incident)


def test_a_signal_that_breaks_a_rule_takes_nothing_along(rig: Rig) -> None:
    rig.recorder.put((None,))  # type: ignore[arg-type]
    kill(rig)
    assert [event.action for event in events_of(LedgerReader(rig.folder), ID)] == ["start", "oom"]


def test_the_lag_of_live_events_is_measured(rig: Rig) -> None:
    kill(rig)
    assert rig.lag.reading().count == 1


def test_a_clock_that_is_set_back_stops_nothing(rig: Rig) -> None:
    rig.shift_ns = -3600 * 10**9
    incident = Incident("c" * 16, IncidentKind.MEMORY_HIGH, Severity.WARN, datetime.now(UTC), "95 %")
    rig.recorder.put((incident,))
    until(lambda: any(one.id == incident.id for one in rig.recorder.known().incidents))


def test_a_note_outlives_what_the_rules_say_later_and_a_restart(rig: Rig) -> None:
    kill(rig)
    (incident,) = rig.published
    rig.recorder.put(Noted(incident.id, "a leak"))
    until(lambda: rig.published[-1].person_note == "a leak")
    assert rig.published[-1].revision > incident.revision
    rig.recorder.put(reading(3))
    until(lambda: rig.published[-1].count == 3)
    assert (rig.published[-1].id, rig.published[-1].person_note) == (incident.id, "a leak")
    rig.again()
    rig.recorder.put(Noted(incident.id, "the cache"))
    until(lambda: rig.published[-1].person_note == "the cache")
    assert all(rig.on_disk_when_published)


def test_a_note_on_no_incident_changes_nothing(rig: Rig) -> None:
    kill(rig)
    before = len(rig.published)
    rig.recorder.put(Noted("f" * 16, "x"))
    rig.recorder.put(reading(2))
    until(lambda: len(rig.published) > before)
    assert {one.person_note for one in rig.published} == {None}


def from_afar(count: int = 2, revision: int = 2, state: str = FINAL) -> Incident:
    """A kill that another node's ledger holds."""
    return Incident(
        "afar",
        IncidentKind.OOM_KILL,
        Severity.ERROR,
        datetime.now(UTC),
        "a kill elsewhere",
        container_id="b" * 64,
        count=count,
        revision=revision,
        state=state,
        node="node2",
    )


def test_what_another_nodes_ledger_tells_again_does_not_count_again(rig: Rig) -> None:
    rig.recorder.put(Gathered((from_afar(),)))
    until(lambda: rig.recorder.known().oom_kills == {"b" * 64: 2})
    rig.again()  # a leader that starts anew reads every ledger whole
    rig.recorder.put(Gathered((from_afar(),)))
    rig.recorder.put(Gathered((from_afar(count=3, revision=3),)))
    until(lambda: rig.recorder.known().oom_kills == {"b" * 64: 3})
    rig.recorder.put(Gathered((from_afar(count=1, revision=1),)))
    rig.recorder.stop()
    (kept,) = LedgerReader(rig.folder).incidents()
    assert (kept.count, kept.node) == (3, "node2")


def test_the_end_of_an_incident_elsewhere_outruns_a_note_that_was_put_on_it_here(rig: Rig) -> None:
    rig.recorder.put(Gathered((from_afar(revision=1, state=PROVISIONAL),)))
    until(lambda: bool(rig.recorder.known().incidents))
    rig.recorder.put(Noted("afar", "the cache was cold"))
    until(lambda: rig.recorder.known().incidents[0].person_note is not None)
    rig.recorder.put(Gathered((replace(from_afar(), text="it is over"),)))
    until(lambda: rig.recorder.known().incidents[0].text == "it is over")
    kept = rig.recorder.known().incidents[0]
    assert (kept.state, kept.person_note, kept.revision) == (FINAL, "the cache was cold", 3)


def test_a_ledger_that_is_removed_holds_the_last_minutes_again_and_says_what_is_gone(rig: Rig) -> None:
    kill(rig)
    until(lambda: bool(rig.recorder.known().incidents))
    (known,) = rig.recorder.known().incidents
    rig.recorder._began_ns -= 3600 * 10**9
    for file in rig.folder.glob("ledger.db*"):
        file.unlink()

    def again() -> bool:
        try:
            found = LedgerReader(rig.folder).incidents()
        except (LedgerError, OSError):  # there is none yet, or it is only just begun
            return False
        return {IncidentKind.OOM_KILL, IncidentKind.BLIND} <= {incident.kind for incident in found}

    until(again)
    rig.recorder.stop()
    found = {incident.kind: incident for incident in LedgerReader(rig.folder).incidents()}
    assert found[IncidentKind.OOM_KILL].id == known.id
    assert found[IncidentKind.BLIND].severity == Severity.WARN
    assert "may be missing" in found[IncidentKind.BLIND].text
