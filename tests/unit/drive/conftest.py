"""What the tests of the acting room share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from sidecar.common.say import Console
from sidecar.engine.host_client import HostEngine
from tests.unit.drive.fake_engine import FakeEngine
from tests.unit.drive.fake_master import FakeMaster
from tests.unit.drive.fake_time import FakeTime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
def engine(fake_engine: FakeEngine) -> HostEngine:
    return HostEngine(fake_engine.path)
