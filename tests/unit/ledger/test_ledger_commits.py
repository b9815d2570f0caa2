"""What a commit keeps, what it knows already, and what a failing one leaves behind."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.common.errors import LedgerError
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.model.incident import PROVISIONAL, EvidenceItem, MemorySample
from tests.fakes.ledger_samples import NOW, NOW_NS, clock, event, events_of, incident, later


def test_a_commit_is_on_the_disk_when_it_returns(ledger: Ledger) -> None:
    """No test can pull the plug: this is SQLite's word for it (2 is FULL)."""
    assert ledger._rows("PRAGMA synchronous", ()) == [(2,)]


def test_an_event_is_kept_as_it_came(ledger: Ledger, reader: LedgerReader) -> None:
    seen = event(3, signal=9, health="unhealthy")
    with ledger.commit() as batch:
        assert batch.journal(seen)
    assert events_of(reader, seen.container_id) == [seen]


def test_an_event_that_is_replayed_is_known_already(ledger: Ledger, reader: LedgerReader) -> None:
    with ledger.commit() as batch:
        batch.journal(event())
    with ledger.commit() as batch:
        assert not batch.journal(event(received_ns=NOW_NS + 5))
        assert not batch.journal(event())
    assert events_of(reader, event().container_id) == [event()]


@pytest.mark.parametrize("other", [{"ns": 1}, {"action": "oom"}, {"container_id": "f" * 64}])
def test_an_event_of_another_moment_action_or_container_is_another_one(ledger: Ledger, other: dict[str, Any]) -> None:
    with ledger.commit() as batch:
        assert batch.journal(event())
        assert batch.journal(event(**other))


def test_an_incident_is_read_back_whole(ledger: Ledger, reader: LedgerReader) -> None:
    evidence = EvidenceItem("log", "the last lines", NOW, ("a ☃", "b"), (MemorySample(NOW, 1, 2),))
    kept = incident(evidence=(evidence,), workers=("w1",), note="n", raw_events=3)
    with ledger.commit() as batch:
        batch.upsert(kept)
    assert reader.incident(kept.id) == kept
    assert reader.incident("no such") is None


def test_a_new_revision_takes_the_place_of_the_old_one(ledger: Ledger, reader: LedgerReader) -> None:
    with ledger.commit() as batch:
        batch.upsert(incident(count=1))
        batch.upsert(incident(count=4, revision=2))
    assert [(one.revision, one.count) for one in reader.incidents()] == [(2, 4)]
    assert reader.oom_kills() == {incident().container_id: 4}


def test_state_is_kept_by_key_and_read_by_prefix(ledger: Ledger) -> None:
    with ledger.commit() as batch:
        batch.keep("life/a", {"started": 1, "name": "\ud800 %"})
        batch.keep("life/b", [1, None])
        batch.keep("life", 3)
        batch.keep("lifeless", 4)
    with ledger.commit() as batch:
        batch.keep("life/b", 2)
        batch.drop("life")
        batch.drop("never kept")
    assert ledger.state("life/") == {"life/a": {"started": 1, "name": "\ud800 %"}, "life/b": 2}
    assert ledger.state() == {**ledger.state("life/"), "lifeless": 4}


def test_the_newest_event_is_known_after_a_restart(tmp_path: Path, ledger: Ledger) -> None:
    assert ledger.last_event_ns() is None
    with ledger.commit() as batch:
        batch.journal(event(9))
        batch.journal(event(2))
    ledger.close()
    again = Ledger(tmp_path, clock)
    assert again.last_event_ns() == NOW_NS + 9
    again.close()


def test_incidents_that_may_still_change_are_found_again(ledger: Ledger) -> None:
    old = later(-3600)
    with ledger.commit() as batch:
        batch.upsert(incident(1, at=old, until=old))
        batch.upsert(incident(2, at=old, until=None))
        batch.upsert(incident(3, at=old + timedelta(seconds=1), until=old, state=PROVISIONAL))
        batch.upsert(incident(4, at=NOW, until=NOW))
    assert [open_incident.id for open_incident in ledger.open_incidents(NOW_NS)] == [
        "incident-2",
        "incident-3",
        "incident-4",
    ]


def test_a_block_that_raises_writes_nothing(ledger: Ledger, reader: LedgerReader) -> None:
    def spoil() -> None:
        with ledger.commit() as batch:
            batch.journal(event())
            batch.upsert(incident())
            raise KeyError("a fault in a rule")

    with pytest.raises(KeyError):
        spoil()
    assert reader.incidents() == []
    assert ledger.last_event_ns() is None
    with ledger.commit() as batch:
        assert batch.journal(event())


def test_a_ledger_that_another_process_holds_says_so_and_works_afterwards(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.ledger.database.BUSY_SECONDS", 0.05)
    impatient = Ledger(tmp_path, clock)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="could not be written: database is locked"), impatient.commit() as batch:
        batch.upsert(incident())
    other.execute("ROLLBACK")
    other.close()
    with impatient.commit() as batch:
        batch.upsert(incident())
    impatient.close()
    assert ledger.open_incidents(0) == [incident()]
