"""Names that act on a terminal, on a real stack: no command on a terminal and no file of a report lets one act."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from tests.integration.stacks import USERS_FILES, Stack, readable

pytestmark = pytest.mark.long

_OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r\x1b\[K")  # colours, and the line of progress
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def on_a_terminal(stack: Stack, *words: str) -> str:
    """Return what a command writes to a terminal of its own, without the kit's own colours."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(stack.command(*words), env=stack.environ(), stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:  # Linux says so when the last writer is gone
            pass
    os.close(ours)
    return _OURS.sub("", written.decode(errors="surrogateescape")).replace("\r\n", "\n")


def acting(text: str) -> set[str]:
    return {ascii(char) for char in text if unicodedata.category(char) in _UNSAFE} - {r"'\n'", r"'\t'"}


def test_no_name_acts_on_a_terminal_or_in_a_report(stack: Stack, tmp_path: Path) -> None:
    users = tmp_path / "users"
    shutil.copytree(USERS_FILES / "names", users)
    readable(users)
    stack.settings |= {"LOCUSTFILES_DIR": str(users), "MOCK": "1", "WORKERS": "1"}
    stack.up()
    run = on_a_terminal(stack, "run", "USERS=2", "SPAWN_RATE=2", "RUN_TIME=8s")
    shown = {"run": run, "try": on_a_terminal(stack, "try")}
    for verb in ("diagnose", "ps", "incidents", "logs"):
        shown[verb] = on_a_terminal(stack, verb)
    shown["monitor"] = on_a_terminal(stack, "monitor", "ONCE=1")
    for file in stack.reports.rglob("*"):
        if file.suffix in {".md", ".html", ".txt", ".xml", ".csv"}:
            shown[file.name] = file.read_text(encoding="utf-8").replace("\r\n", "\n")
    assert {name: acting(text) for name, text in shown.items() if acting(text)} == {}
    assert r"/n\x1b[31m" in shown["run"]
    assert r"/n\\x1b[31m" in shown["run"]
    assert {"report.md", "report.html", "junit.xml", "requests.csv", "failures.csv"} <= set(shown)
    assert "`@ann`" in shown["report.md"]
    assert ",'=1+1," in shown["requests.csv"]
