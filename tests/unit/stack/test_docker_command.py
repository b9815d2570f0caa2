"""The docker command that fails, hangs, or is not there: one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.common.errors import StackError
from sidecar.stack.docker_command import DockerSlowError, docker, printed


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a docker command there that does this."""
    command = folder / "docker"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(DockerSlowError, match=r"docker image took more than 0 s"):
        docker("image", "inspect", "x", seconds=0.3)
    with pytest.raises(DockerSlowError, match=r"^the engine ssh://b took more than 0 s"):
        printed("--host", "ssh://b", "info", what="the engine ssh://b", seconds=0.3)


def test_one_that_cannot_be_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "")
    with pytest.raises(StackError, match=r"docker run could not be run: .*Argument list too long"):
        docker("run", "x" * 10_000_000)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Error: no space left' >&2; echo 'see --help' >&2; exit 1", "pushing x failed: Error: no space left"),
        ("exit 7", "pushing x failed: exit code 7"),
    ],
)
def test_one_that_fails_is_told_with_the_line_that_names_the_cause(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, script)
    with pytest.raises(StackError, match=f"^{said}$"):
        printed("push", "x", what="pushing x")


def test_what_it_prints_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "echo $2; echo a warning >&2")
    assert printed("volume", "ls", what="docker volume ls") == "ls\n"
