"""Real stacks on the real engine, each in a compose project, ports and volumes of its own, removed whatever happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stacks import Stack, remove

PREFIX = "kit-test-"


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack a module, not yet up."""
    project = PREFIX + request.module.__name__.rpartition(".test_")[2].replace("_", "-")
    remove(project)
    yield Stack(
        project,
        tmp_path_factory.mktemp("reports"),
        settings={"WORKER_MEMORY": "512M", "WORKER_MEMORY_RESERVATION": "128M"},
    )
    remove(project)


@pytest.fixture
def fresh_stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """One stack for one test, not yet up."""
    project = PREFIX + request.node.name.replace("test_", "").replace("_", "-")[:40]
    remove(project)
    yield Stack(project, tmp_path, settings={"WORKER_MEMORY": "512M", "WORKER_MEMORY_RESERVATION": "128M"})
    remove(project)
