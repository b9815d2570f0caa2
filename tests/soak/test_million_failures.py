"""Memory of master and workers, and a run's files, after a million failures that all differ, with 100,000 names."""

from __future__ import annotations

import pytest

from tests.bench import million
from tests.process.plugin.test_many_texts import check

MOST_MIB = 120


@pytest.mark.long
def test_a_million_failures_that_all_differ_fill_neither_memory_nor_disk() -> None:
    left = million.measured()
    print(*million.lines(left), sep="\n")
    check(left, million.FAILURES)
    assert max(left.master_bytes, left.worker_bytes) >> 20 <= MOST_MIB
