"""What a check or a try starts is gone afterwards, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.settings import load
from sidecar.stack import temporary
from sidecar.stack.compose import Compose
from tests.paths import ROOT
from tests.unit.engine.heard import eventually


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `docker` in the way that notes its calls; the file `master` stands for a master that runs."""
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ncase "$*" in *inspect*) test -e {tmp_path}/master;; esac\n'
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "calls"


def removed(calls: Path) -> set[str]:
    """Return the last word of each removal."""
    lines = calls.read_text().splitlines() if calls.exists() else []
    return {line.split()[-1] for line in lines if " rm " in f" {line} " and not line.endswith(" ")}


def block(folder: Path, *before: str, name: str = "") -> Any:
    services: Sequence[Any] = [SimpleNamespace(service=service) for service in before]
    engine: Any = SimpleNamespace(containers=lambda _project: services)
    return temporary.removed_afterwards(
        load(["PROJECT=p"], {}, folder), engine, Compose(folder, "p", {**os.environ}), name
    )


@pytest.mark.parametrize(
    ("before", "gone"),
    [
        ((), {"p-mock-target-1", "p_default", "t"}),
        (("locust-master", "locust-worker"), {"p-mock-target-1", "t"}),
        (("locust-master", "mock-target"), {"t"}),
    ],
)
@pytest.mark.parametrize("ends_by", [None, ValueError, KeyboardInterrupt])
def test_what_was_not_there_before_goes_however_the_block_ends(
    tmp_path: Path, calls: Path, before: tuple[str, ...], gone: set[str], ends_by: type[BaseException] | None
) -> None:
    def run() -> None:
        with block(tmp_path, *before, name="t"):
            if ends_by:
                raise ends_by

    if ends_by:
        with pytest.raises(ends_by):
            run()
    else:
        run()
    assert removed(calls) == gone


def test_a_mock_target_that_is_kept_stays(tmp_path: Path, calls: Path) -> None:
    with block(tmp_path) as keep:
        keep()
    assert removed(calls) == set()


def test_a_stack_that_another_terminal_starts_meanwhile_stays(tmp_path: Path, calls: Path) -> None:
    with block(tmp_path, name="t"):
        (tmp_path / "master").touch()
    assert removed(calls) == {"t"}


def test_nothing_stays_of_a_process_that_is_killed(tmp_path: Path, calls: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from tests.unit.stack.test_temporary import block
        with block(Path(sys.argv[1]), name="t"):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    eventually(lambda: removed(calls) == {"p-mock-target-1", "p_default", "t"})
