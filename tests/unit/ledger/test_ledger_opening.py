"""A file that cannot be used is moved aside, never deleted, and said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.common.errors import LedgerError
from sidecar.ledger.history import History
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.schema import LEDGER
from tests.fakes.ledger_samples import NOW, PATIENCE_SECONDS, clock, event, incident, later, line, sample


def filled(folder: Path, incidents: int = 300) -> None:
    ledger = Ledger(folder, clock)
    with ledger.commit() as batch:
        for number in range(1, incidents + 1):
            batch.upsert(incident(number))
    ledger.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all " * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def holed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8192:20480] = b"\xff" * 12288
    path.write_bytes(content)


def of_the_future(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def of_another(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "word", "said"),
    [
        (garbage, "corrupt", "could not be read"),
        (cut_short, "corrupt", ""),
        (holed, "corrupt", "is damaged"),
        (of_the_future, "newer", "was written by a newer monitor (schema 99, this one reads 1)"),
        (of_another, "foreign", "is a database of another program"),
    ],
)
def test_a_file_that_cannot_be_used_is_moved_aside(
    tmp_path: Path, spoil: Callable[[Path], None], word: str, said: str
) -> None:
    filled(tmp_path)
    path = tmp_path / LEDGER.file_name
    spoil(path)
    spoilt = path.read_bytes()
    ledger = Ledger(tmp_path, clock)
    kept = tmp_path / f"ledger.db.{word}-20261122T150000Z"
    assert kept.read_bytes() == spoilt
    (note,) = ledger.notes
    assert said in note
    assert note.endswith(f"it is kept as {kept.name}, and a new file was created")
    with ledger.commit() as batch:
        batch.journal(event())
        batch.upsert(incident())
    assert ledger.open_incidents(0) == [incident()]
    ledger.close()


def test_two_files_moved_aside_in_one_second_are_both_kept(tmp_path: Path) -> None:
    for content in (b"first " * 500, b"second " * 500):
        (tmp_path / "ledger.db").write_bytes(content)
        Ledger(tmp_path, clock).close()
    kept = sorted(path.read_bytes()[:5] for path in tmp_path.glob("ledger.db.corrupt-*"))
    assert kept == [b"first", b"secon"]


def test_a_sound_file_is_opened_without_a_word(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    ledger = Ledger(tmp_path, clock)
    assert ledger.notes == ()
    assert len(ledger.open_incidents(0)) == 3
    ledger.close()


def test_a_file_of_an_older_schema_is_taken_to_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, 3)
    newer = (*LEDGER.steps, ("CREATE TABLE added (x TEXT)", "INSERT INTO added VALUES ('y')"))
    monkeypatch.setattr("sidecar.ledger.ledger.LEDGER", type(LEDGER)(LEDGER.file_name, newer, "FULL", checked=True))
    ledger = Ledger(tmp_path, clock)
    assert ledger.notes == ()
    assert len(ledger.open_incidents(0)) == 3
    assert ledger._rows("SELECT x FROM added", ()) == [("y",)]
    ledger.close()


def test_a_step_of_the_schema_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 3)
    failing = (*LEDGER.steps, ("CREATE TABLE added (x TEXT)", "CREATE TABLE events (x TEXT)"))
    with monkeypatch.context() as patch:
        patch.setattr("sidecar.ledger.ledger.LEDGER", type(LEDGER)(LEDGER.file_name, failing, "FULL", checked=True))
        with pytest.raises(LedgerError, match="already exists"):
            Ledger(tmp_path, clock)
    ledger = Ledger(tmp_path, clock)
    assert ledger.notes == ()
    assert len(ledger.open_incidents(0)) == 3
    assert ledger._rows("SELECT name FROM sqlite_master WHERE name = 'added'", ()) == []
    ledger.close()


def test_a_folder_that_cannot_be_made_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="the ledger cannot be opened") as caught:
        Ledger(tmp_path / "file" / "ledger", clock)
    assert "\n" not in caught.value.line()


def test_a_ledger_damaged_while_in_use_is_replaced_and_the_retry_works(tmp_path: Path) -> None:
    filled(tmp_path, 2000)
    ledger = Ledger(tmp_path, clock)
    holes = bytearray((tmp_path / "ledger.db").read_bytes())
    holes[4096:] = b"\xff" * (len(holes) - 4096)
    (tmp_path / "ledger.db").write_bytes(holes)

    def put() -> None:
        with ledger.commit() as batch:
            batch.upsert(incident(5000))
            batch.upsert(incident(1))

    with pytest.raises(LedgerError, match="malformed"):
        put()
    put()
    assert len(ledger.notes) == 1
    assert "is damaged" in ledger.notes[0]
    assert (tmp_path / "ledger.db.corrupt-20261122T150000Z").exists()
    assert {open_incident.id for open_incident in ledger.open_incidents(0)} == {"incident-1", "incident-5000"}
    ledger.close()


def test_a_history_damaged_while_in_use_is_replaced_and_loses_nothing_new(tmp_path: Path) -> None:
    first = History(tmp_path, clock)
    first.start()
    for second in range(1000):
        first.add_lines([line("old " * 20, second)])
    first.add_round(NOW, [sample()])
    assert first.flush(PATIENCE_SECONDS)
    first.close()
    history = History(tmp_path, clock)
    content = bytearray((tmp_path / "history.db").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (tmp_path / "history.db").write_bytes(content)
    history.start()
    history.add_round(later(1), [sample()])
    history.add_lines([line("new")])
    assert history.flush(PATIENCE_SECONDS)
    assert [one.text for one in history.search()] == ["new"]
    assert len(history.series(since=NOW, until=later(10), points=10)) == 1
    assert "is damaged" in history.notes[0]
    assert history.trouble == ""
    history.close()
