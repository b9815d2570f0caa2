"""What keeps tests apart that run side by side, and what has to be so before any of them is imported."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

# Importing Locust patches the standard library for gevent, which no other test expects: not in this process.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
# A shell has what it starts in the background ignore Ctrl-C, and nohup has it ignore a closed terminal. So would every
# program that a test starts.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

_TOGETHER = ("browser", "faults", "swarm")  # one browser, one stack, one cluster for a whole folder
_AMONG_FAULTS = "test_remote_workers.py"  # both publish the master's port 5557 at Docker's default network
_KERNEL = Path(tempfile.gettempdir()) / "kit-test-oom-kills.lock"


@cache
def lane(path: str) -> str:
    """Return the lane of a test file: what shares a stack, or has processes OOM-killed, runs in one process."""
    folder, _, name = path.removeprefix("tests/").partition("/")
    if folder in _TOGETHER:
        return folder
    if name == _AMONG_FAULTS:
        return "faults"
    return "kills" if "pytest.mark.kills" in (ROOT / path).read_text() else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give out tests by lanes in place of files. The groups of pytest-xdist 3.8 do nothing under pytest 9.2."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415  only where tests are given out

    class LaneScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lane(nodeid.partition("::")[0])

    return LaneScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run one test with OOM kills at a time: the kernel counts all of them together, and tests rely on its count."""
    if item.get_closest_marker("kills") is None:
        return (yield)
    with _KERNEL.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (yield)
