"""Run after run in one master: files and connections of the one before are closed."""

from __future__ import annotations

from pathlib import Path

from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_fifty_runs.py")


def test_descriptors_stay_flat_over_fifty_runs(tmp_path: Path) -> None:
    found = printed(PROGRAM, KIT_RUNS_DIR=str(tmp_path))
    assert found["ended"] == 50
    assert found["rows"] > 50
    assert found["received"] == found["rows"]
    assert found["descriptors"]["50"] <= found["descriptors"]["5"]
