"""Where the ledger is kept when it cannot be kept where it belongs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sidecar.common.errors import LedgerError
from sidecar.ledger.database import Database
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.ledger.schema import HISTORY, Retention
from sidecar.ledger.store import can_be_kept, open_store
from tests.fakes.ledger_samples import clock


def spare(folder: Path) -> Path:
    made = folder / "spare"
    made.mkdir()
    return made


def test_a_good_folder_is_used_and_there_is_no_trouble(tmp_path: Path) -> None:
    store = open_store(tmp_path / "own", clock, Retention(), lambda: spare(tmp_path))
    assert (store.folder, store.trouble) == (tmp_path / "own", "")
    store.close()


def test_a_folder_that_cannot_be_made_is_replaced_by_a_spare_one_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    store = open_store(tmp_path / "own", clock, Retention(), lambda: spare(tmp_path))
    assert store.folder == tmp_path / "spare"
    assert f"cannot be kept in {tmp_path / 'own'}" in store.trouble
    store.close()


def test_a_folder_in_use_is_left_alone_until_it_is_free(tmp_path: Path) -> None:
    first = open_store(tmp_path / "own", clock, Retention(), lambda: spare(tmp_path))
    second = open_store(tmp_path / "own", clock, Retention(), lambda: spare(tmp_path))
    assert "another monitor writes to it" in second.trouble
    first.close()
    second.close()
    third = open_store(tmp_path / "own", clock, Retention(), lambda: tmp_path / "none")
    assert third.trouble == ""
    third.close()


def test_without_any_folder_it_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    with pytest.raises(LedgerError, match="there is no spare folder either"):
        open_store(tmp_path / "own", clock, Retention(), lambda: spare(tmp_path / "own"))


def test_a_history_that_proves_damaged_on_reading_is_moved_aside(tmp_path: Path) -> None:
    database = Database(tmp_path, HISTORY, clock)
    connection = database.sound()
    connection.execute("DROP TABLE cursors")
    connection.execute("CREATE TABLE cursors (container_id TEXT PRIMARY KEY, ns INTEGER, marks TEXT)")
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'cursors'").fetchone()[0]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    database.close()
    with (tmp_path / HISTORY.file_name).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xee" * size)
    store = open_store(tmp_path, clock, Retention(), lambda: spare(tmp_path))
    assert store.trouble == ""
    assert "is damaged" in "".join(store.history.notes)
    store.close()


def test_an_incident_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, clock)
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as file:
        file.execute("INSERT INTO incidents VALUES ('x', 1, 1, 'final', 'exit', NULL, NULL, NULL, 1, 0, '{}')")
    file.close()
    reader = LedgerReader(tmp_path)
    assert reader.incidents() == []
    reader.close()


def test_a_folder_that_was_mended_is_found_to_be_good_again(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    assert not can_be_kept(tmp_path / "own", clock, Retention())
    (tmp_path / "own").unlink()
    assert can_be_kept(tmp_path / "own", clock, Retention())
    store = open_store(tmp_path / "own", clock, Retention(), lambda: spare(tmp_path))
    assert not can_be_kept(tmp_path / "own", clock, Retention()), "another monitor writes to it"
    assert (store.trouble, store.ledger.state("probe")) == ("", {})
    store.close()
