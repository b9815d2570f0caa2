"""The mock target in a process of its own, on free ports of 127.0.0.1; its counts start at 0 for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.process.mock_target._talk import Target, started

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def process() -> Iterator[Target]:
    with started() as target:
        yield target


@pytest.fixture
def target(process: Target) -> Target:
    process.reset()
    return process
