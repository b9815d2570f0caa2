"""The whole sidecar but for its web server, driven as fast as it goes.

`python -m tests.soak.rounds SOCKET FOLDER SAMPLES` prints a line of JSON now and then: samples so far, memory held.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sidecar.common import process
from sidecar.monitor.board import Board
from sidecar.monitor.container_poller import READERS
from sidecar.serve.sidecar import Sidecar, now
from sidecar.settings.monitor import WatchSettings
from sidecar.views.metrics import metrics_text
from tests.soak.pretend_fleet import PROJECT

_SAY_EACH = 5000
_SCRAPE_EACH = 10  # rounds


def main(path: str, folder: str, wanted: int) -> None:
    """Make rounds until so many samples were taken."""
    settings = WatchSettings(
        project=PROJECT,
        docker_url=f"unix://{path}",
        locust_url="http://127.0.0.1:9",  # nobody there
        ledger_folder=folder,
        cgroup_root=str(Path(folder) / "no-cgroups"),
    )
    with ThreadPoolExecutor(READERS + 1) as pool:
        sidecar = Sidecar(settings, pool, lambda _: None)
        board = Board(now, sidecar.recorded)
        sidecar.start()
        samples = rounds = 0
        while samples < wanted:
            snapshot = sidecar.round().snapshot
            board.publish(snapshot)
            rounds += 1
            if rounds % _SCRAPE_EACH == 0:
                board.json()
                metrics_text(sidecar.series.rows(), board.current(), sidecar.own())
            before, samples = (
                samples,
                samples + sum(container.sampled_at is not None for container in snapshot.containers),
            )
            if before // _SAY_EACH != samples // _SAY_EACH:
                print(json.dumps([samples, process.memory_bytes()]), flush=True)
        sidecar.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
