"""What the sidecar costs, measured on this very process."""

from __future__ import annotations

import subprocess
import sys

from sidecar.common import process


def test_processor_time_counts_and_that_of_ended_children_too() -> None:
    before = process.cpu_seconds()
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", spin], check=True)
    assert process.cpu_seconds() - before >= 0.3


def test_memory_follows_what_is_held() -> None:
    before = process.memory_bytes()
    held = bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert 60 << 20 < process.memory_bytes() - before < 80 << 20
    del held
