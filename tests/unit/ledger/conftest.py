"""An open ledger and an open history, each in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.ledger.history import History
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from tests.fakes.ledger_samples import clock


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def reader(ledger: Ledger, tmp_path: Path) -> Iterator[LedgerReader]:
    """A reader beside the open ledger."""
    assert not ledger.notes
    made = LedgerReader(tmp_path)
    yield made
    made.close()


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path, clock)
    made.start()
    yield made
    made.close()
