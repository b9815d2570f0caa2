"""What of a run the sidecar says is not on the disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from sidecar.model.snapshot import Blind
from sidecar.serve.sidecar import Sidecar

GAP = datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC)
GOES_ON = Blind(GAP, None, "ledger", covered=False, text="incidents could not be recorded", node="two")


@pytest.mark.parametrize(
    ("blind", "until", "told"),
    [
        (GOES_ON, GAP + timedelta(seconds=1), "node two: incidents could not be recorded"),
        (GOES_ON, GAP - timedelta(seconds=1), ""),
        (Blind(GAP, GAP, "ledger", covered=False, text="over", node="two"), GAP + timedelta(seconds=1), ""),
        (Blind(GAP, None, "events", covered=False, text="deaf", node="two"), GAP + timedelta(seconds=1), ""),
    ],
)
def test_a_node_that_cannot_write_its_ledger_now_touches_no_run_from_before(
    blind: Blind, until: datetime, told: str
) -> None:
    sidecar = Sidecar.__new__(Sidecar)
    sidecar._plugin = None
    sidecar.cluster = SimpleNamespace(blind=lambda: (blind,))  # type: ignore[assignment]
    sidecar._store = SimpleNamespace(trouble="")  # type: ignore[assignment]
    assert sidecar._unwritten("20261127T010203Z-abcd", until) == told
