"""What keeps tests apart that run side by side, and what has to be so before any of them is imported."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Importing Locust patches the standard library for gevent, which no other test expects: not in this process.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

_TOGETHER = ("browser", "faults", "swarm")  # one browser, one stack, one cluster for a whole folder
_AMONG_FAULTS = "test_remote_workers.py"  # both publish the master's port 5557 at Docker's default network
_KERNEL = Path(tempfile.gettempdir()) / "kit-test-oom-kills.lock"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the lane of each test for `--dist loadgroup`: what shares a stack, or OOM kills, stays in one process."""
    for item in items:
        folder = item.path.parent.name
        if folder in _TOGETHER:
            lane = folder
        elif item.path.name == _AMONG_FAULTS:
            lane = "faults"
        elif item.get_closest_marker("kills"):
            lane = "kills"
        else:
            lane = str(item.path)
        item.add_marker(pytest.mark.xdist_group(lane))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run one test with OOM kills at a time: the kernel counts all of them together, and tests rely on its count."""
    if item.get_closest_marker("kills") is None:
        return (yield)
    with _KERNEL.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (yield)
