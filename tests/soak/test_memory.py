"""The sidecar's memory over a long time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.soak.pretend_fleet import CONTAINERS

SAMPLES, WARM = 100_000, 40_000
MOST_BYTES, MOST_GROWTH_BYTES = 120_000_000, 8_000_000


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "engine.sock"
    command = [sys.executable, "-m", "tests.soak.pretend_fleet", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "ready\n"
        yield path
        engine.terminate()


@pytest.mark.long
def test_memory_stays_small_and_flat_over_a_hundred_thousand_samples(fleet: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.soak.rounds", str(fleet), str(tmp_path / "ledger"), str(SAMPLES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=True)
    readings = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    print(*(f"{samples:8} samples {held / 1e6:6.1f} MB" for samples, held in readings), sep="\n")
    warm = [held for samples, held in readings if samples >= WARM]
    assert readings[-1][0] > SAMPLES - 5000 - CONTAINERS
    assert max(warm) < MOST_BYTES
    assert max(warm) - warm[0] < MOST_GROWTH_BYTES
