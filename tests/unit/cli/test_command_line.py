"""The command line itself: the Makefile's list and order, verbs, and errors that are one line."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.cli.__main__ import main
from sidecar.cli.verbs import VERBS, load
from tests.paths import ROOT

USE = [
    "setup",
    "up",
    "join",
    "down",
    "restart",
    "reload",
    "scale",
    "ps",
    "logs",
    "monitor",
    "health",
    "incidents",
    "diagnose",
    "selftest",
    "run",
    "capacity",
    "try",
    "report",
    "reports",
    "clean",
    "purge",
]
MANY_MACHINES = ["swarm-up", "swarm-scale", "swarm-down", "swarm-monitor", "swarm-diagnose"]
DEVELOP = ["unit", "test", "test-long", "lint", "docs", "bench"]
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "HOME": "/nowhere"}
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), *words],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_make
def test_make_alone_lists_all_groups() -> None:
    out = make().stdout.splitlines()
    use, many, develop = out.index("Use"), out.index("Many machines (Docker Swarm)"), out.index("Develop")
    assert [line.split()[1] for line in out[use + 1 : many] if line] == USE
    assert [line.split()[1] for line in out[many + 1 : develop] if line] == MANY_MACHINES
    assert [line.split()[1] for line in out[develop + 1 :] if line] == DEVELOP


@needs_make
@pytest.mark.parametrize("extra", [[], ["-j8"]])
def test_targets_run_in_the_order_given(tmp_path: Path, extra: list[str]) -> None:
    probe = tmp_path / "kit"
    probe.write_text(f'#!/bin/sh\n[ "$1" = down ] && sleep 0.3\necho "$1" >> {tmp_path}/order\n')
    probe.chmod(0o755)
    done = make(*extra, f"KIT={probe}", "down", "up", "scale", "WORKERS=4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "order").read_text().split() == ["down", "up", "scale"]


@pytest.mark.parametrize("verb", [name for name in (*USE, *MANY_MACHINES) if name != "setup"])
def test_every_target_has_its_verb(verb: str) -> None:
    assert VERBS[verb].name == verb
    assert VERBS[verb].help


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_function_which_takes_what_the_table_says(verb: str) -> None:
    function, entry = load(VERBS[verb]), VERBS[verb]
    required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    assert len(required) == (4 if entry.flags else 3)
    assert inspect.signature(function).return_annotation in ("int", "None")


def one_line(capsys: pytest.CaptureFixture[str], argv: list[str], environ: dict[str, str] | None = None) -> str:
    assert main(argv, environ or NO_DOCKER) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1, err
    return err


@pytest.mark.parametrize(
    "verb", ["up", "scale", "run", "down", "ps", "reload", "restart", "try", "purge", "clean", "logs"]
)
def test_bad_input_is_one_line_for_every_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "bogus" in one_line(capsys, [verb, "bogus"])


@pytest.mark.parametrize("verb", ["up", "scale", "ps", "reload", "restart", "try", "clean", "purge", "down"])
def test_without_an_engine_every_verb_leads_to_setup(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "make setup" in one_line(capsys, [verb, "PROJECT=no-such-stack", "WORKERS=2", "YES=1"])


def test_an_unknown_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean `reload`?" in one_line(capsys, ["relaod"])


def test_a_scale_without_a_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "make scale WORKERS=8" in one_line(capsys, ["scale", "PROJECT=no-such-stack"])


def test_a_service_that_is_none_is_answered_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "one of locust-master, locust-worker" in one_line(capsys, ["logs", "SERVICE=nothing"])


@pytest.mark.parametrize("flag", ["--json", "--jsn", "--x=1", "-j"])
@pytest.mark.parametrize("verb", ["up", "logs"])
def test_a_flag_that_means_nothing_is_refused(verb: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"unknown argument '{flag}' of `{verb}`" in one_line(capsys, [verb, flag])


def test_snapshot_knows_one_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown argument '--x=1'" in one_line(capsys, ["snapshot", "--x=1"])
    assert "is not running" in one_line(capsys, ["snapshot", "--json", "PROJECT=mine", "MONITOR_PORT=1"])


def test_a_snapshot_of_no_stack_leads_to_that_very_stack(capsys: pytest.CaptureFixture[str]) -> None:
    named = one_line(capsys, ["snapshot", "PROJECT=mine", "MONITOR_PORT=1"])
    assert named.rstrip().endswith("→ make up WORKERS=4 PROJECT=mine")
    assert one_line(capsys, ["snapshot", "MONITOR_PORT=1"]).rstrip().endswith("→ make up WORKERS=4")


def test_the_command_line_does_not_import_what_it_does_not_need() -> None:
    unwanted = {"docker", "rich", "psutil", "locust"}
    code = f"import sys, sidecar.cli.__main__, sidecar.commands.up; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_verb_whose_reader_has_seen_enough_ends_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "sidecar.cli", "targets"]
    done = subprocess.run(words, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
