"""A stack to break, with files of its own, so that no fault touches the checkout. Removed whatever happens."""

from collections.abc import Iterator

import pytest

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
