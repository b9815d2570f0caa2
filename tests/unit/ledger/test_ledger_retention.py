"""What goes with age and with size, in which order, and what never goes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sidecar.ledger.database import used_bytes
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.ledger.schema import Retention
from sidecar.model.history import IncidentQuery
from tests.fakes.ledger_samples import (
    MIB,
    NOW,
    NOW_NS,
    SECOND_NS,
    clock,
    container_id,
    event,
    events_of,
    incident,
    later,
)

DAY_NS = 86_400 * SECOND_NS


def test_events_and_incidents_go_when_they_are_too_old(ledger: Ledger, reader: LedgerReader) -> None:
    edge = NOW - timedelta(days=30)
    just_before = edge - timedelta(milliseconds=1)
    with ledger.commit() as batch:
        batch.journal(event(1, ns=NOW_NS - 30 * DAY_NS - 1))
        batch.journal(event(2, ns=NOW_NS - 30 * DAY_NS))
        batch.journal(event(3, ns=NOW_NS))
        batch.upsert(incident(1, at=just_before, until=just_before))
        batch.upsert(incident(2, at=just_before, until=edge))
        batch.upsert(incident(3, at=edge, until=edge))
        batch.keep("life/x", 1)
    ledger.prune(NOW)
    assert [one.owner.index for one in events_of(reader, container_id(1))] == [2, 3]
    assert {one.id for one in reader.incidents()} == {"incident-2", "incident-3"}
    assert ledger.state() == {"life/x": 1}


def test_the_newest_event_stays_however_old_it_is(ledger: Ledger) -> None:
    with ledger.commit() as batch:
        batch.journal(event(1))
        batch.journal(event(2))
    ledger.prune(NOW + timedelta(days=400))
    assert ledger.last_event_ns() == NOW_NS + 2
    with ledger.commit() as batch:
        assert not batch.journal(event(2))  # replayed when the stream is resumed from it


def test_the_days_are_those_that_were_set(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, clock, Retention(days=2))
    with ledger.commit() as batch:
        batch.upsert(incident(1, at=later(-2 * 86_400 - 1), until=later(-2 * 86_400 - 1)))
        batch.upsert(incident(2, at=later(-86_400), until=later(-86_400)))
    ledger.prune(NOW)
    assert [open_incident.id for open_incident in ledger.open_incidents(0)] == ["incident-2"]
    ledger.close()


def filled(folder: Path, megabytes: int, *, events: int, incidents: int) -> Ledger:
    ledger = Ledger(folder, clock, Retention(megabytes=megabytes))
    with ledger.commit() as batch:
        for number in range(events):
            batch.journal(event(number, raw="r" * 2000))
        for number in range(incidents):
            batch.upsert(incident(number, text="t" * 2000))
    return ledger


def test_of_too_much_the_oldest_events_go_and_no_incident(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 8, events=5000, incidents=200)
    assert used_bytes(ledger._file.sound()) > 8 * MIB
    ledger.prune(NOW)
    reader = LedgerReader(tmp_path)
    left = [one.owner.index for one in events_of(reader, container_id(1), limit=10_000)]
    assert 1000 <= len(left) < 5000
    assert left == list(range(5000 - len(left), 5000))
    assert len(reader.incidents(IncidentQuery(limit=10_000))) == 200
    reader.close()
    assert used_bytes(ledger._file.sound()) <= 7 * MIB
    ledger.close()


def test_when_few_events_are_left_the_oldest_incidents_go(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 8, events=1500, incidents=4000)
    ledger.prune(NOW)
    reader = LedgerReader(tmp_path)
    left = [one.id for one in reader.incidents(IncidentQuery(limit=10_000, newest_first=False))]
    assert 0 < len(left) < 4000
    assert left == [f"incident-{number}" for number in range(4000 - len(left), 4000)]
    assert len(events_of(reader, container_id(1), limit=10_000)) == 1000
    assert 6 * MIB < used_bytes(ledger._file.sound()) <= 7 * MIB
    reader.close()
    ledger.close()


def test_the_file_shrinks_when_much_has_gone(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 8, events=5000, incidents=0)
    ledger.close()
    before = (tmp_path / "ledger.db").stat().st_size
    again = Ledger(tmp_path, clock, Retention(megabytes=8))
    for _ in range(5):
        again.prune(NOW)
    again.close()
    assert (tmp_path / "ledger.db").stat().st_size < before * 0.7


def test_a_ledger_within_its_bounds_loses_nothing(ledger: Ledger) -> None:
    with ledger.commit() as batch:
        batch.upsert(incident())
        batch.journal(event(1))
        batch.journal(event(2))
    ledger.prune(NOW)
    with ledger.commit() as batch:
        assert not batch.journal(event(1))
    assert ledger.open_incidents(0) == [incident()]


@pytest.mark.parametrize(("ledger_mib", "history_mib"), [(0, 512), (100, 412), (448, 64), (1000, 64)])
def test_history_gives_way_to_the_ledger_down_to_an_eighth(ledger_mib: int, history_mib: int) -> None:
    assert Retention().history_bytes(ledger_mib * MIB) == history_mib * MIB
    assert Retention().ledger_bytes == 448 * MIB
