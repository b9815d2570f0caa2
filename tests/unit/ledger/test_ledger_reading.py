"""What a reader finds, beside the writer and after it has ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.common.errors import LedgerError
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.model.history import IncidentQuery
from sidecar.model.incident import Incident, IncidentKind
from tests.fakes.ledger_samples import NOW_NS, clock, container_id, event, events_of, incident, later


def keep(ledger: Ledger, *incidents: Incident) -> None:
    with ledger.commit() as batch:
        for one in incidents:
            batch.upsert(one)


def ids(found: Sequence[Incident]) -> list[str]:
    return [one.id.removeprefix("incident-") for one in found]


def test_incidents_come_newest_first_or_oldest_first_up_to_the_limit(ledger: Ledger, reader: LedgerReader) -> None:
    keep(ledger, *(incident(number) for number in (2, 3, 1)))
    assert ids(reader.incidents()) == ["3", "2", "1"]
    assert ids(reader.incidents(IncidentQuery(limit=2))) == ["3", "2"]
    assert ids(reader.incidents(IncidentQuery(limit=2, newest_first=False))) == ["1", "2"]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ["4", "3", "2", "1"]),
        (later(20), None, ["4", "3", "2"]),
        (later(20.001), None, ["4", "3"]),
        (None, later(30), ["3", "2", "1"]),
        (None, later(29.999), ["2", "1"]),
        (later(100), later(200), ["3"]),
    ],
)
def test_incidents_are_those_that_touch_the_span(
    ledger: Ledger, reader: LedgerReader, since: datetime | None, until: datetime | None, expected: list[str]
) -> None:
    keep(
        ledger,
        incident(1, at=later(10), until=later(10)),
        incident(2, at=later(15), until=later(20)),
        incident(3, at=later(30), until=None),
        incident(4, at=later(40), until=later(41)),
    )
    assert ids(reader.incidents(IncidentQuery(since=since, until=until))) == expected


def test_incidents_are_narrowed_by_kind_and_project(ledger: Ledger, reader: LedgerReader) -> None:
    keep(
        ledger,
        incident(1),
        incident(2, kind=IncidentKind.RESTART),
        incident(3, kind=IncidentKind.EXIT, project="shop"),
        incident(4, kind=IncidentKind.BLIND, project=None, service=None, container_id=None),
    )
    assert ids(reader.incidents(IncidentQuery(kinds=(IncidentKind.RESTART, IncidentKind.EXIT)))) == ["3", "2"]
    assert ids(reader.incidents(IncidentQuery(kinds=()))) == ["4", "3", "2", "1"]
    assert ids(reader.incidents(IncidentQuery(project="shop"))) == ["3"]
    assert ids(reader.incidents(IncidentQuery(project="' OR 1=1 --"))) == []


def test_what_happened_to_our_own_probes_is_shown_only_when_asked_for(ledger: Ledger, reader: LedgerReader) -> None:
    keep(ledger, incident(1), incident(2, helper=True, project=None, service="selftest"))
    assert ids(reader.incidents()) == ["1"]
    assert ids(reader.incidents(IncidentQuery(helpers=True))) == ["2", "1"]


def test_oom_kills_are_summed_for_each_container(ledger: Ledger, reader: LedgerReader) -> None:
    keep(
        ledger,
        incident(1, count=3),
        incident(2, count=2),
        incident(3, count=5, container_id=container_id(2)),
        incident(4, kind=IncidentKind.RESTART, count=7),
        incident(5, kind=IncidentKind.UNATTRIBUTED_OOM_KILL, container_id=None),
    )
    assert reader.oom_kills() == {container_id(1): 5, container_id(2): 5}


def test_a_containers_latest_events_come_oldest_first(ledger: Ledger, reader: LedgerReader) -> None:
    with ledger.commit() as batch:
        for number in (3, 1, 2):
            batch.journal(event(number))
        batch.journal(event(4, container_id=container_id(2)))
    assert [one.ns - NOW_NS for one in events_of(reader, container_id(1), limit=2)] == [2, 3]


def test_a_reader_works_after_a_clean_close(tmp_path: Path, ledger: Ledger) -> None:
    keep(ledger, incident())
    ledger.close()
    assert not (tmp_path / "ledger.db-wal").exists()
    reader = LedgerReader(tmp_path)
    assert reader.incidents() == [incident()]
    reader.close()


def test_a_reader_of_a_closed_ledger_sees_what_the_next_writer_adds(tmp_path: Path, ledger: Ledger) -> None:
    keep(ledger, incident(1))
    ledger.close()
    reader = LedgerReader(tmp_path)
    assert ids(reader.incidents()) == ["1"]
    again = Ledger(tmp_path, clock)
    keep(again, incident(2))
    assert ids(reader.incidents()) == ["2", "1"]
    reader.close()
    again.close()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """The test's folder once more, where it cannot be written; not even by root."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    bound = ["mount", "--bind", "-o", "ro", str(tmp_path), str(folder)]
    if os.geteuid() != 0 or subprocess.run(bound, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_reader_works_where_it_cannot_write_beside_a_writer_and_after_it(read_only: Path, ledger: Ledger) -> None:
    with pytest.raises(OSError, match="Read-only"):
        (read_only / "probe").write_text("")
    keep(ledger, incident(1))
    beside = LedgerReader(read_only)
    assert ids(beside.incidents()) == ["1"]
    beside.close()
    ledger.close()
    after = LedgerReader(read_only)
    assert ids(after.incidents()) == ["1"]
    again = Ledger(read_only.parent, clock)
    keep(again, incident(2))
    assert ids(after.incidents()) == ["2", "1"]
    after.close()
    again.close()


def test_a_reader_sees_each_commit_and_a_writer_never_waits_for_one(tmp_path: Path, ledger: Ledger) -> None:
    reader = LedgerReader(tmp_path)
    for number in range(1, 50):
        keep(ledger, incident(number))
        assert ids(reader.incidents(IncidentQuery(limit=1))) == [str(number)]
    reader.close()


def test_many_threads_may_read_at_once_while_one_writes(ledger: Ledger, reader: LedgerReader) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = []
        for number in range(1, 101):
            keep(ledger, incident(number))
            asked.append((number, pool.submit(reader.incidents, IncidentQuery(limit=1000))))
        assert all(len(answer.result()) >= number for number, answer in asked)


def test_a_reader_notices_that_the_file_was_replaced(tmp_path: Path, ledger: Ledger, reader: LedgerReader) -> None:
    keep(ledger, incident(1))
    assert ids(reader.incidents()) == ["1"]
    ledger.close()
    (tmp_path / "ledger.db").rename(tmp_path / "ledger.db.aside")
    new = Ledger(tmp_path, clock)
    keep(new, incident(2))
    assert ids(reader.incidents()) == ["2"]
    new.close()


def test_a_reader_without_a_file_says_so_and_makes_none(tmp_path: Path) -> None:
    reader = LedgerReader(tmp_path)
    with pytest.raises(LedgerError, match="the ledger could not be read"):
        reader.incidents()
    assert list(tmp_path.iterdir()) == []
