"""A real Prometheus, Debian's, on a port of loopback and with a folder of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

from tests.integration.stacks import get_json, until
from tests.paths import ROOT
from tests.ports import free_port

_UNPACKED = ROOT / ".locust-kit/prometheus/usr/bin"  # scripts/setup test

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: locust-kit
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = """
groups:
  - name: locust-kit
    rules:
      - {alert: OomKilled, expr: "increase(container_oom_events_total[5m]) > 0"}
"""


def find(program: str) -> str | None:
    """Where a program of Prometheus is: on PATH, or where set-up unpacked it."""
    return shutil.which(program) or shutil.which(program, path=str(_UNPACKED))


class Prometheus:
    """Scrapes one port of loopback each second; its one alert is the one that everybody writes for OOM kills."""

    def __init__(self, folder: Path, target_port: int) -> None:
        self.port = free_port()
        (folder / "prometheus.yml").write_text(CONFIG.format(port=target_port))
        (folder / "rules.yml").write_text(RULES)
        self._log = (folder / "log").open("w+")
        program = find("prometheus")
        assert program
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            until(self._is_ready, 60, "Prometheus to be ready")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now: a list of {metric, value}."""
        found: list[dict[str, Any]] = self._get(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are firing."""
        return [alert for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, and how that goes."""
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def _get(self, path: str) -> Any:
        return get_json(f"http://127.0.0.1:{self.port}/api/v1/{path}")["data"]

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        try:
            return bool(self._get("status/runtimeinfo"))
        except (OSError, json.JSONDecodeError):
            return False
