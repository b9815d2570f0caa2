"""What the kit writes is its owner's alone: files 0600, folders 0700, also where the umask allows more."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from locust_kit import disk, run_folder, writer
from locust_kit.failures import files
from locust_kit.push.batch import BatchId
from locust_kit.push.spool import Spool

from sidecar.common import atomic
from sidecar.settings import load
from sidecar.stack import compose, state
from sidecar.stack.compose import Decided
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, int]:
    return {path.relative_to(root).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}


def test_an_atomic_write_is_private_and_replaces_a_file_that_was_not(tmp_path: Path) -> None:
    (tmp_path / "old").touch(mode=0o666)
    atomic.write_text(tmp_path / "old", "x")
    atomic.write_bytes(tmp_path / "new", b"x")
    atomic.write_text(tmp_path / "mounted", "x", atomic.READ_BY_CONTAINERS)
    assert modes(tmp_path) == {"old": 0o600, "new": 0o600, "mounted": 0o644}


def test_the_state_is_private(tmp_path: Path) -> None:
    settings = load(["HOST=http://ann:Zq81@shop.example"], {}, tmp_path)
    state.remember(settings, Decided(host=settings.host or ""))
    compose.write_env_file(settings)
    written = {name: mode for name, mode in modes(tmp_path).items() if "." in name.removeprefix(".locust-kit")}
    assert written == {".locust-kit/state/locust.json": 0o600, ".locust-kit/state/locust.env": 0o600}


def test_what_the_plugin_writes_for_a_run_is_private(tmp_path: Path) -> None:
    run = run_folder.begin(datetime(2026, 12, 1, tzinfo=UTC))
    run_folder.make(run, {}, tmp_path)
    folder = tmp_path / run.run_id
    writer.write_documents(folder, {"end.json": {}})
    disk.append(folder / "timeline.ndjson", b"{}\n")
    files.append(folder, ())
    Spool(tmp_path).write(BatchId(run.run_id, (1,)), b"{}", 1)
    found = modes(folder)
    assert len(found) == 7, found
    assert {name: mode for name, mode in found.items() if mode != 0o600} == {"push": 0o700}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_command_of_the_host_gives_no_right_to_others(tmp_path: Path) -> None:
    """SQLite, copies and logs have no mode of their own, so the process has a umask."""
    code = (
        "import runpy, sys, pathlib, sidecar.cli.verbs as v\n"
        "v.call = lambda *_: pathlib.Path(sys.argv[0]).parent.mkdir() or pathlib.Path(sys.argv[0]).touch()\n"
        f"sys.argv = [{str(tmp_path / 'a' / 'b')!r}, 'up']\n"
        "sys.exit = lambda code: None\n"
        "import sidecar.cli.__main__ as m\n"
    )
    script = code + "runpy.run_path(m.__file__, run_name='__main__')\n"
    # The loaded module sets argv[0], so the path is passed on in the script's own namespace.
    script = script.replace("pathlib.Path(sys.argv[0])", f"pathlib.Path({str(tmp_path / 'a' / 'b')!r})")
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)
    assert modes(tmp_path) == {"a": 0o700, "a/b": 0o600}
