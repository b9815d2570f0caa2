"""A worker's pulse."""

import os
import time
from pathlib import Path

from locust_kit import worker


def test_each_heartbeat_makes_the_file_new(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    worker.touch_heartbeat(file)
    os.utime(file, (1, 1))
    worker.touch_heartbeat(file)
    assert time.time() - file.stat().st_mtime < 60


def test_a_missing_folder_disturbs_nobody(tmp_path: Path) -> None:
    worker.touch_heartbeat(tmp_path / "gone" / "heartbeat")
    assert not (tmp_path / "gone").exists()
