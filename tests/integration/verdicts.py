"""A small stack whose runs can be broken in every way there is, and what is said of them."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.integration.stacks import USERS_FILES, Stack, readable, until

RUN_SECONDS = 12


class Judged:
    """A stack, the file that says how its users are, and its runs."""

    def __init__(self, stack: Stack, folder: Path, users: str = "verdict") -> None:
        self.stack = stack
        self.folder = folder
        readable(folder)
        shutil.copy(USERS_FILES / users / "locustfile.py", folder)
        self.be()
        stack.settings |= {
            "LOCUSTFILES_DIR": str(folder),
            "WORKER_MEMORY": "192M",
            "WORKER_MEMORY_RESERVATION": "64M",
            "MOCK": "1",
            "NOFILE": "1024",
        }

    def be(self, **mode: Any) -> None:
        """How users are from the next run on."""
        (self.folder / "mode.json").write_text(json.dumps(mode))

    def start_by_web(self, users: int = 6, rate: float = 6, seconds: int = RUN_SECONDS) -> str:
        """Start a run as the page of Locust does; its id."""
        before = self.stack.newest_run()
        form = {"user_count": users, "spawn_rate": rate, "run_time": f"{seconds}s", "host": "http://mock-target:8080"}
        address = f"http://127.0.0.1:{self.stack.web_port}/swarm"
        with urllib.request.urlopen(address, urllib.parse.urlencode(form).encode(), timeout=20) as answer:
            assert json.loads(answer.read())["success"]
        until(lambda: self.stack.newest_run() != before, 10, "the run's id")
        return self.stack.newest_run()

    def run(self, *words: str) -> tuple[int, Any]:
        """A run by `kit run`: its exit code, and its report."""
        done = self.stack.kit("run", "USERS=6", "SPAWN_RATE=6", f"RUN_TIME={RUN_SECONDS}s", *words)
        assert done.returncode != 2, done.stderr
        newest = max(self.stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
        return done.returncode, json.loads(newest.read_text())

    def told(self, *words: str) -> tuple[str, Any]:
        """What `kit report` prints of the last run, and its document."""
        done = self.stack.kit("report", "RUN=last", *words)
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("report: ")]
        return done.stdout, json.loads((Path(line.removeprefix("report: ")) / "report.json").read_text())

    def is_waiting_for_lost_workers(self) -> bool:
        """Whether a run is still going, or a worker's container is gone that the master has not missed yet."""
        figures = self.stack.web("/stats/requests")
        there = {one["Config"]["Hostname"] for one in self.stack.inspect("locust-worker")}
        silent = [
            worker for worker in figures["workers"] if worker["state"] != "missing" and worker["id"][:12] not in there
        ]
        return bool(silent) or figures["state"] not in {"ready", "stopped"}

    def stop_by_web(self) -> None:
        """Stop the run as the page of Locust does."""
        address = f"http://127.0.0.1:{self.stack.web_port}/stop"
        with urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=60) as answer:
            answer.read()
