"""Servers in processes of their own: what they take is not in what is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.paths import ROOT


@contextmanager
def serving(program: str, *words: str) -> Iterator[str]:
    """Run a Python program until the block ends; the first line that it prints is where it serves."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
