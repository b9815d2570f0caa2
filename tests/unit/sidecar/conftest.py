"""What several tests of the sidecar share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sidecar.pretend_engine import PretendEngine


@pytest.fixture
def engine_server() -> Iterator[PretendEngine]:
    """An engine on a socket of its own; the path is short, because a socket's may not be long."""
    with tempfile.TemporaryDirectory(prefix="kit") as folder:
        server = PretendEngine(Path(folder) / "s")
        yield server
        server.close()
