"""The documentation's tables of faults are those of the matrix, and the matrix has every cause of the catalogue."""

from __future__ import annotations

from sidecar.diagnose.catalogue import causes
from tests.faults import table
from tests.paths import ROOT


def test_every_cause_is_inflicted_and_no_other_is_named() -> None:
    assert {one.cause for one in table.ordered()} == set(causes())


def test_the_documentation_states_the_matrix_fault_by_fault() -> None:
    assert "\n".join(table.whole()) in (ROOT / "docs" / "diagnose.md").read_text()


def test_the_documentation_states_it_by_layer() -> None:
    assert "\n".join(table.short()) in (ROOT / "docs" / "diagnose.md").read_text()


def test_about_a_dozen_run_each_time() -> None:
    assert 10 <= sum(one.often for one in table.ordered()) <= 20
