"""What the tests of several rooms share."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.common.console import Console
from sidecar.engine.docker_engine import DockerEngine
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.fake_master import FakeMaster
from tests.fakes.fake_time import FakeTime
from tests.fakes.pretend_engine import PretendEngine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    server = FakeMaster()
    yield server
    server.close()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def say(out: io.StringIO) -> Console:
    return Console(out)


@pytest.fixture
def fake_engine(tmp_path: Path) -> Iterator[FakeEngine]:
    server = FakeEngine(tmp_path / "engine.sock")
    yield server
    server.close()


@pytest.fixture
def engine(fake_engine: FakeEngine) -> DockerEngine:
    return DockerEngine(fake_engine.path)


@pytest.fixture
def engine_server() -> Iterator[PretendEngine]:
    """An engine on a socket of its own; the path is short, because a socket's may not be long."""
    with tempfile.TemporaryDirectory(prefix="kit") as folder:
        server = PretendEngine(Path(folder) / "s")
        yield server
        server.close()
