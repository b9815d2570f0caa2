"""A distributed Locust of a given version with the plugin, in processes of this machine; judges its run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sidecar.report.runs import record
from sidecar.report.verdict.judge import Verdict, judge
from tests.paths import ROOT
from tests.ports import free_port

PLUGIN = ROOT / "docker/locust/locust_kit_plugin.py"
WORKERS = 2
PATIENCE_SECONDS = 240


@dataclass(frozen=True)
class Installed:
    """A virtual environment with one version of Locust."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, version: str) -> Installed:
        """Install a version. Raises CalledProcessError when that fails."""
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        command = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-input", f"locust=={version}"]
        subprocess.run(command, check=True, capture_output=True, timeout=900)
        return cls(folder)

    def run(self, folder: Path, text: str, host: str, *options: str) -> Verdict:
        """Run a locustfile to its end with a master and workers, and judge it by what the plugin wrote."""
        folder.mkdir()
        (folder / "locustfile.py").write_text(text)
        port = free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "locustfiles"),
            "KIT_RUNS_DIR": str(folder / "runs"),
            "HOME": str(folder),
        }
        command = [str(self.folder / "bin/locust"), "-f", f"locustfile.py,{PLUGIN}", "--host", host]
        worker = [*command, "--worker", "--master-port", str(port)]
        master = [*command, "--master", "--headless", "--expect-workers", str(WORKERS), "--master-bind-port", str(port)]
        workers = [
            subprocess.Popen(worker, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            for _ in range(WORKERS)
        ]
        try:
            with (folder / "master.log").open("w") as log:
                subprocess.run(
                    [*master, *options],
                    cwd=folder,
                    env=environ,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=PATIENCE_SECONDS,
                    check=False,
                )
        finally:
            for process in workers:
                process.kill()
                process.wait()
        return _judged(folder / "runs")


def _judged(runs: Path) -> Verdict:
    """Judge the only run of a folder, as one whose containers somebody watched to its end."""
    (run_id,) = record.ids(runs)
    found = record.read(runs, run_id, datetime.now(UTC))
    return judge(replace(found, watched_until=found.until))
