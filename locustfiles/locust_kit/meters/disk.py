"""Whether the file systems that a test writes to were full: in a container they are small and in memory."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from locust.env import Environment

from locust_kit.meters.reading import labelled, whole

_LEAST_SHARE, _LEAST_BYTES = 0.05, 64 << 20  # free; with more of either there is room
_MOST_FOLDERS = 8


class DiskMeter:
    """Checks the working directory and the folder for temporary files with each report."""

    name = "disk"

    def __init__(self) -> None:
        self._full: dict[str, int] = {}

    def listen(self, environment: Environment) -> None:
        """Do nothing: no event reports a full file system."""

    def begin(self) -> None:
        """Forget the run before."""
        self._full = {}

    def document(self) -> dict[str, Any]:
        """Return the size in bytes of each file system that was full at some report."""
        for folder in (str(Path.cwd()), tempfile.gettempdir()):
            with suppress(OSError):
                seen = os.statvfs(folder)
                if seen.f_bavail < _LEAST_SHARE * seen.f_blocks and seen.f_bavail * seen.f_frsize < _LEAST_BYTES:
                    self._full[folder] = seen.f_blocks * seen.f_frsize
        return dict(self._full)

    @staticmethod
    def merged(by_worker: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return each file system that was full: its size, and the number of workers with it."""
        sizes: dict[str, int] = {}
        workers: Counter[str] = Counter()
        for document in by_worker.values():
            for folder, size_bytes in labelled(document, _MOST_FOLDERS).items():
                if whole(size_bytes):
                    sizes[folder] = max(sizes.get(folder, 0), size_bytes)
                    workers[folder] += 1
        full = [{"folder": folder, "size_bytes": size, "workers": workers[folder]} for folder, size in sizes.items()]
        return {"full": full[:_MOST_FOLDERS]} if full else {}

    @staticmethod
    def moment(merged: dict[str, Any]) -> dict[str, Any]:
        """Return no figures: the sums at the end of a run are enough."""
        del merged
        return {}
