"""A whole sidecar beside an engine that does what it is told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.fake_tree import FakeTree
from tests.process.hostile.hostile_engine import HostileEngine, box_id
from tests.process.hostile.whole_sidecar import Vigil, WholeSidecar, eventually


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="lk-") as made:
        yield Path(made)


@pytest.fixture
def engine(folder: Path) -> Iterator[HostileEngine]:
    made = HostileEngine(folder / "s")
    made.add(1, "locust-master")
    made.add(2)
    made.add(3)
    yield made
    made.close()


@pytest.fixture
def tree(folder: Path) -> FakeTree:
    return FakeTree(folder / "cgroup", 1)


@pytest.fixture
def sidecar(folder: Path, engine: HostileEngine, tree: FakeTree) -> Iterator[WholeSidecar]:
    del tree
    made = WholeSidecar(folder, engine.url)
    yield made
    made.close()


@pytest.fixture
def vigil(sidecar: WholeSidecar, engine: HostileEngine, tree: FakeTree) -> Vigil:
    eventually(sidecar.snapshot, "a first Snapshot")
    return Vigil(sidecar, engine, tree, engine.boxes[box_id(2)])
