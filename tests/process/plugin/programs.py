"""Programs that need a process of their own, because Locust changes the sockets and threads of the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.paths import ROOT


def printed(*words: str | Path, **environ: str) -> Any:
    """The JSON that a Python program prints; `words` are its command line after the interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'locustfiles'}", **environ},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
