"""A stack to break, with files of its own, so that no fault touches the checkout. Removed whatever happens."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from tests.faults.world import World, sweep

PROJECT = "kit-test-faults"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One stack for all faults: each of them leaves it well, or the next `well()` makes it so."""
    sweep(PROJECT)
    made = World.make(PROJECT, tmp_path_factory.mktemp("faults"))
    try:
        yield made
    finally:
        made.close()
        sweep(PROJECT)
