"""The sidecar as its container runs it: one process, its settings in the environment; and what it says over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.fakes.fake_tree import FakeTree
from tests.paths import ROOT
from tests.ports import free_port
from tests.process.hostile.hostile_engine import Box, HostileEngine

DEADLINE_SECONDS = 90.0  # a machine out of breath; nothing waits that long when all is well


def eventually(wanted: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Wait until this holds; returns what it said."""
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)
    return found


class WholeSidecar:
    """One sidecar process beside a pretend engine and a pretend cgroup tree."""

    def __init__(self, folder: Path, docker_url: str, **environ: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environ = {
            **inherited,
            "PROJECT": "locust",
            "INTERVAL": "0.5",
            "DOCKER_HOST": docker_url,
            "LOCUST_URL": "http://127.0.0.1:9",
            "LEDGER_FOLDER": str(folder / "ledger"),
            "CGROUP_ROOT": str(folder / "cgroup"),
            "LISTEN": f"127.0.0.1:{self.port}",
            **environ,
        }
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "sidecar.cli", "serve"], cwd=ROOT, env=self.environ, stdout=log, stderr=log
            )

    def begin_again(self) -> None:
        self.process = self._begin()

    def end(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Signal it, and wait; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15.0)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> dict[str, Any]:
        """Get a document; an empty one while there is none."""
        with suppress(OSError, http.client.HTTPException, ValueError):
            status, text = self.get(path)
            found = json.loads(text)
            if status == http.client.OK and isinstance(found, dict):
                return found
        assert self.process.poll() is None, f"the sidecar has ended: {self.said()[-3000:]}"
        return {}

    def snapshot(self) -> dict[str, Any]:
        return self.json("/api/snapshot")

    def incidents(self, kind: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json(f"/api/incidents?limit=5000&kind={kind}").get("incidents", [])
        return found

    def warnings(self) -> str:
        return "\n".join(warning["text"] for warning in self.snapshot().get("warnings", []))

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Vigil:
    """Proves that every part of a sidecar lives: rounds, events, kernel counters, logs, and the ledger behind them."""

    def __init__(self, sidecar: WholeSidecar, engine: HostileEngine, tree: FakeTree, box: Box) -> None:
        self._sidecar, self._engine, self._tree, self._box = sidecar, engine, tree, box
        self._kills = self._lines = 0
        self._path = f"docker/{box.id}" if tree.version == 1 else f"system.slice/docker-{box.id}.scope"
        tree.group(self._path)

    def all_lives(self, after: str) -> None:
        """Let one of each happen, and wait until the sidecar tells of it."""
        self._rounds(after)
        self._events(after)
        self._kernel(after)
        self._logs(after)

    def _rounds(self, after: str) -> None:
        before = self._sidecar.snapshot().get("engine_read_at")
        eventually(
            lambda: (now := self._sidecar.snapshot()).get("engine_read_at") != before and now.get("stale") is False,
            f"a round after {after}: {self._sidecar.said()[-1500:]}",
        )

    def _events(self, after: str) -> None:
        known = {incident["id"] for incident in self._sidecar.incidents("restart")}
        self._engine.restart(self._box)
        eventually(
            lambda: (
                {
                    incident["id"]
                    for incident in self._sidecar.incidents("restart")
                    if incident["container"] == self._box.name
                }
                - known
            ),
            f"a restart told after {after}: {self._sidecar.said()[-1500:]}",
        )

    def _kernel(self, after: str) -> None:
        def counted() -> int:
            return sum(
                incident["count"]
                for incident in self._sidecar.incidents("oom_kill")
                if incident["container"] == self._box.name
            )

        self._kills += 1
        self._tree.set_kills(self._path, self._kills)
        eventually(
            lambda: counted() >= self._kills, f"an OOM kill counted after {after}: {self._sidecar.said()[-1500:]}"
        )

    def _logs(self, after: str) -> None:
        self._lines += 1
        word = f"sign-of-life-{self._lines}-"
        self._engine.write(self._box, word.encode())
        eventually(
            lambda: self._sidecar.json(f"/api/logs?q={quote(word)}").get("lines"),
            f"a log line after {after}: {self._sidecar.said()[-1500:]}",
        )
