"""One real Swarm of three nodes for all of these tests, gone afterwards whatever happened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.paths import ROOT
from tests.swarm import nodes
from tests.swarm.nodes import Swarm


@pytest.fixture(scope="session")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """The cluster, with the stack up."""
    nodes.sweep()
    nodes.build_images()
    folder = tmp_path_factory.mktemp("swarm")
    for one in (folder, folder.parent):
        one.chmod(0o755)
    files = folder / "locustfiles"
    files.mkdir(mode=0o755)
    shutil.copy(ROOT / "locustfiles" / "locustfile.py", files)
    try:
        cluster = Swarm(nodes.start(folder), files, folder / "reports")
        cluster.up()
        yield cluster
    finally:
        nodes.sweep()
