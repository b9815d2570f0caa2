"""One run of a Locust with two workers in processes of this machine, driven through its web API as `run` does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import requests

from tests.paths import ROOT
from tests.ports import free_port

HERE = Path(__file__).parent
FILES = HERE / "files"
PLUGIN = ROOT / "docker/locust/locust_kit_plugin.py"
WORKERS = 2
PATIENCE_SECONDS = 90
SETTLED_SECONDS = 4
STOPPED_SECONDS = 20
"""To stop users; a master that the locustfile itself ended never says that it has stopped."""


Curve = list[tuple[float, int]]
"""Users at a time, in seconds since the start."""


@dataclass(frozen=True)
class Figures:
    """What one run came to."""

    requests: Counter[str]  # by name
    failures: Counter[str]  # by name and text
    task_errors: Counter[str]  # by text
    users: Curve
    log: str = field(repr=False)


class Stack:
    """A master and workers, with the kit's plugin or without it."""

    def __init__(self, folder: Path, locustfile: str, environ: Mapping[str, str], *, plugin: bool) -> None:
        web, bind = free_port(), free_port()
        self.url, self._folder, self._log = f"http://127.0.0.1:{web}", folder, folder / "log"
        environ = {name: value.replace("WEB", self.url) for name, value in environ.items()}
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
            "KIT_RUNS_DIR": str(folder / "runs"),
            **environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "locustfiles"), environ["PYTHONPATH"]]),
        }
        # Beside no settings of pytest: Locust looks for those around each locustfile.
        files = f"{locustfile},{shutil.copy(PLUGIN, folder.parent)}" if plugin else locustfile
        self._command = [sys.executable, "-W", "ignore", "-m", "locust", "-f", files]
        self._roles = (
            ["--master", "--master-bind-port", str(bind), "--web-port", str(web), "--web-host", "127.0.0.1"],
            *[["--worker", "--master-port", str(bind)]] * WORKERS,
        )
        self._processes: list[subprocess.Popen[bytes]] = []
        self._session = requests.Session()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            for role in self._roles:
                command = [*self._command, *role]
                self._processes.append(
                    subprocess.Popen(command, cwd=self._folder, env=self._environ, stdout=log, stderr=log)
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._session.close()

    def get(self, path: str) -> Any:
        """JSON of a path of the master's web API."""
        return self._session.get(self.url + path, timeout=30).json()

    def wait_for_workers(self, *, login: bool) -> None:
        """Wait until all workers are there; log in first."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if login:
                    self._session.post(
                        f"{self.url}/login_submit", data={"username": "a", "password": "b", "confirm_password": "b"}
                    )
                if self.get("/stats/requests")["state"] and len(self.get("/stats/requests")["workers"]) == WORKERS:
                    return
            except (requests.ConnectionError, ValueError):
                pass
            assert self._processes[0].poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def run(self, users: int, seconds: float) -> Figures:
        """Start so many users, stop them after so many seconds, and return what was counted."""
        begun = time.monotonic()
        answer = self._session.post(f"{self.url}/swarm", data={"user_count": users, "spawn_rate": users}, timeout=30)
        assert answer.json()["success"], answer.text
        curve = []
        while (passed := time.monotonic() - begun) < seconds:
            seen = self.get("/stats/requests")
            curve.append((passed, int(seen["user_count"])))
            if seen["state"] in ("stopped", "stopping") and passed > 2:
                break
            time.sleep(0.25)
        self._session.post(f"{self.url}/stop", timeout=30)
        deadline = time.monotonic() + STOPPED_SECONDS
        while self.get("/stats/requests")["state"] != "stopped" and time.monotonic() < deadline:
            time.sleep(0.2)
        seen = self._settled()
        return Figures(
            self._requests(seen["stats"]),
            Counter({f"{row['name']}: {self._plain(row['error'])}": row["occurrences"] for row in seen["errors"]}),
            Counter({self._plain(row["msg"]): row["count"] for row in self.get("/exceptions")["exceptions"]}),
            curve,
            self.log(),
        )

    def _requests(self, rows: list[dict[str, Any]]) -> Counter[str]:
        """The requests by name, without the times of day that an example puts into its names."""
        counted: Counter[str] = Counter()
        for row in rows:
            if row["name"] != "Aggregated":
                counted[re.sub(r"\d\d:\d\d\.\d", "TIME", row["name"])] += row["num_requests"]
        return counted

    def _settled(self) -> Any:
        """Figures that no late report changes: without the plugin a worker sends its last ones up to 3 s late."""
        seen, since = self.get("/stats/requests"), time.monotonic()
        while time.monotonic() - since < SETTLED_SECONDS:
            time.sleep(0.3)
            newer = self.get("/stats/requests")
            if [row["num_requests"] for row in newer["stats"]] != [row["num_requests"] for row in seen["stats"]]:
                since = time.monotonic()
            seen = newer
        return seen

    def _plain(self, text: str) -> str:
        """A text without what differs from stack to stack: its ports and folder."""
        return re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", text.replace(str(self._folder), "FOLDER"))
