"""Secrets in every place of a test on a real stack: no file, page, log or console of the kit shows one."""

from __future__ import annotations

import re
import shutil
import tarfile
import urllib.request
from pathlib import Path

import pytest

from tests.integration.stacks import USERS_FILES, Stack, log_of, readable, until

pytestmark = pytest.mark.long

SECRET = re.compile(r"[\w%]*-Zq81xY")
OF_LOCUST = (
    "/",
    "/stats/requests",
    "/stats/failures/csv",
    "/exceptions",
    "/stats/report",
    "/logs",
    "/locust-kit/status",
)
OF_MONITOR = ("/", "/metrics", "/api/snapshot", "/api/history", "/runs/{run}")


def pages(port: int, *paths: str) -> dict[str, str]:
    """The text at each path."""
    found = {}
    for path in paths:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            found[f"{port}{path}"] = answer.read().decode()
    return found


def texts(folder: Path) -> dict[str, str]:
    """Each file below a folder."""
    return {str(path): path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}


def test_no_output_of_a_run_shows_a_secret(stack: Stack, tmp_path: Path) -> None:
    users = tmp_path / "users"
    shutil.copytree(USERS_FILES / "secrets", users)
    readable(users)
    stack.settings |= {"LOCUSTFILES_DIR": str(users), "MOCK": "1", "WORKERS": "1"}
    up = stack.up()
    with_user = "HOST=http://ann:host-Zq81xY@mock-target:8080"
    done = stack.kit("run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=8s", with_user)
    assert "signing in failed" not in done.stdout
    shown = {"up": up.stdout + up.stderr, "run": done.stdout + done.stderr}
    run = stack.newest_run()
    shown |= pages(stack.web_port, *OF_LOCUST)
    until(lambda: stack.snapshot()["verdict"], 20, "the verdict")
    shown |= pages(stack.monitor_port, *(path.format(run=run) for path in OF_MONITOR))
    report = stack.kit("report", "RUN=last")
    bundle = tmp_path / "bundle.tar.gz"
    diagnosis = stack.kit("diagnose", f"BUNDLE={bundle}")
    shown |= {"report": report.stdout, "diagnosis": diagnosis.stdout + diagnosis.stderr}
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path / "bundle", filter="data")
    shown |= {f"log of {one}": log_of(one) for one in stack.containers()}
    shown |= texts(stack.reports) | texts(tmp_path / "bundle")
    assert "signing in failed" in "".join(shown.values())
    assert {name: sorted(set(found)) for name, text in shown.items() if (found := SECRET.findall(text))} == {}
