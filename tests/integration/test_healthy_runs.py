"""Thirty runs in which nothing is wrong: each of them has to end with PASS, and with exit code 0."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stacks import USERS_FILES, Stack, readable

pytestmark = pytest.mark.long

SHAPES = {
    "plain": ("CLASSES=Plain",),
    "one-user": ("CLASSES=Plain", "USERS=1", "SPAWN_RATE=1"),
    "a-hundred-at-once": ("CLASSES=Plain", "USERS=100", "SPAWN_RATE=100"),
    "slow-ramp": ("CLASSES=Plain", "USERS=12", "SPAWN_RATE=1", "RUN_TIME=16s"),
    "fast-client": ("CLASSES=Fast",),
    "no-wait": ("CLASSES=NoWait",),
    "checked-answers": ("CLASSES=Checking",),
    "checked-answers-of-the-fast-client": ("CLASSES=FastChecking",),
    "constant-throughput": ("CLASSES=Throughput", "RUN_TIME=20s"),
    "constant-pacing": ("CLASSES=Pacing", "RUN_TIME=20s"),
    "quiet": ("CLASSES=Quiet", "RUN_TIME=30s"),
    "long-answers": ("CLASSES=Report", "RUN_TIME=30s"),
    "long-answers-to-their-end": ("CLASSES=Report", "RUN_TIME=20s", "STOP_TIMEOUT=10"),
    "users-that-finish": ("CLASSES=Finishing", "USERS=20", "SPAWN_RATE=2", "RUN_TIME=15s"),
    "users-that-finish-at-once": ("CLASSES=Finishing", "USERS=20", "SPAWN_RATE=20", "RUN_TIME=15s"),
    "goodbye": ("CLASSES=Leaving",),
    "goodbye-with-time": ("CLASSES=Leaving", "STOP_TIMEOUT=5"),
    "nested": ("CLASSES=Nested",),
    "rescheduled": ("CLASSES=Rescheduling",),
    "parallel-requests": ("CLASSES=Parallel",),
    "streaming": ("CLASSES=Streaming", "USERS=4"),
    "a-client-of-its-own": ("CLASSES=Own",),
    "failures-within-the-limit": ("CLASSES=Sometimes", "FAIL_RATIO=20%"),
    "failures-within-a-threshold": ("CLASSES=Sometimes", "THRESHOLDS=fail_ratio<20% rps>1"),
    "many-names": ("CLASSES=Names", "USERS=20", "SPAWN_RATE=20"),
    "one-tag": ("CLASSES=Tagged", "TAGS=read"),
    "redirects-not-followed": ("CLASSES=Redirected",),
    "work-between-requests": ("CLASSES=Thoughtful",),
    "two-classes": ("CLASSES=Plain,Fast", "USERS=20", "SPAWN_RATE=10"),
    "thresholds": ("CLASSES=Fast", "USERS=20", "SPAWN_RATE=20", "THRESHOLDS=p50<5s fail_ratio<1% rps>1 requests>20"),
}


@pytest.fixture(scope="module")
def healthy(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("locustfiles")
    readable(folder)
    shutil.copy(USERS_FILES / "healthy" / "locustfile.py", folder)
    stack.settings |= {"LOCUSTFILES_DIR": str(folder), "MOCK": "1", "NOFILE": "1024"}
    stack.up("WORKERS=2")
    return stack


def document_of_the_newest_run(stack: Stack) -> Any:
    newest = max(stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(Path(newest).read_text())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_healthy_run_passes(healthy: Stack, shape: str) -> None:
    done = healthy.kit("run", "USERS=6", "SPAWN_RATE=6", "RUN_TIME=12s", "TAGS=", *SHAPES[shape])  # TAGS would stay
    assert done.stdout.splitlines()[-1] == "PASS (exit 0)", f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0
    report = document_of_the_newest_run(healthy)
    assert report["verdict"] == "PASS"
    assert report["figures"]["requests"] > 0
