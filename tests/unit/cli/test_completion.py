"""Completion in the real shells, as far as this machine has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.cli.__main__ import main

# What stands on the line → what the shell offers. bash and readline see what follows "=" as a word of its own.
LINES = [
    ("scripts/kit sc", {"scale"}),
    ("kit rep", {"report", "reports"}),
    ("kit up MOC", {"MOCK="}),
    ("kit run USERS=10 SPA", {"SPAWN_RATE="}),
    ("kit run ON_INVALID=", {"fail", "warn"}),
    ("kit diagnose FORMAT=m", {"markdown"}),
    ("kit diagnose --fo", {"--format"}),
    ("kit completion z", {"zsh"}),
    ("kit nonsense --h", set()),
]


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"needs {shell}")


def script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", shell], {}) == 0
    path = tmp_path / shell
    path.write_text(capsys.readouterr().out)
    return path


def printed(*command: str) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return {line.partition("\t")[0] for line in done.stdout.splitlines() if line}


@needs("bash")
@pytest.mark.parametrize(("line", "offered"), LINES)
def test_bash(line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("bash", tmp_path, capsys)
    code = 'source "$0"; COMP_LINE=$1; COMP_POINT=${#1}; _kit; printf "%s\\n" "${COMPREPLY[@]}"'
    assert printed("bash", "--norc", "-c", code, str(path), line) == offered


@needs("bash")
def test_bash_offers_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("bash", tmp_path, capsys)
    (tmp_path / "my-tests").mkdir()
    code = 'source "$0"; COMP_LINE=$1; COMP_POINT=${#1}; _kit; printf "%s\\n" "${COMPREPLY[@]}"'
    assert printed("bash", "--norc", "-c", code, str(path), f"kit up LOCUSTFILES_DIR={tmp_path}/my") == {
        f"{tmp_path}/my-tests"
    }


@needs("zsh")
def test_zsh_takes_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("zsh", tmp_path, capsys)
    code = "autoload -U compinit; compinit -u -D; source $1; print ${_comps[kit]}"
    assert printed("zsh", "-f", "-c", code, "zsh", str(path)) == {"_kit"}


@needs("fish")
@pytest.mark.parametrize(
    ("line", "offered"), [("kit sc", {"scale"}), ("kit run ON_INVALID=", {"ON_INVALID=fail", "ON_INVALID=warn"})]
)
def test_fish(line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("fish", tmp_path, capsys)
    assert printed("fish", "-N", "-c", f"source {path}; complete -C {line!r}") == offered


def test_an_unknown_shell_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"], {}) == 2
    assert "one of bash, zsh, fish" in capsys.readouterr().err
