"""Whole diagnoses as text, compared with golden files, and what must hold of any of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from sidecar.diagnose import render
from sidecar.diagnose.catalogue import causes
from sidecar.diagnose.evidence import Evidence, Gap, NameTry
from sidecar.diagnose.judge import diagnose
from tests.paths import ROOT
from tests.unit.diagnose.scene import ago, changed, event, probed, starting_master, told, unregistered, well

GOLDEN = ROOT / "tests/golden"
FIRST, SECOND, MASTER = "locust-worker-1", "locust-worker-2", "locust-master-1"


def wrong_name() -> Evidence:
    e = well()
    for name in (FIRST, SECOND):
        e = told(e, name, LOCUST_MASTER_NODE_HOST="locust-mastr")
        e = probed(e, name, names=(NameTry("locust-mastr", (), "[Errno -2] Name or service not known"),))
    return unregistered(e)


def killed_master() -> Evidence:
    e = unregistered(changed(well(), MASTER, state="exited", exit_code=137, finished_at=ago(9)))
    events = (event(e, MASTER, "kill", 9.1, signal="9"), event(e, MASTER, "die", 9.0, exit_code=137))
    return replace(e, events=events)


def two_faults() -> Evidence:
    e = wrong_name()
    return changed(e, FIRST, state="restarting", restarts=5, exit_code=137, oom_killed=True, finished_at=ago(2))


def no_root() -> Evidence:
    e = replace(well(), gaps=(Gap("host.firewall", "Permission denied (you must be root)"),))
    return replace(e, host=replace(e.host, is_root=False))


FRAMES = {
    "well": well,
    "wrong-name": wrong_name,
    "killed-master": killed_master,
    "two-faults": two_faults,
    "no-root": no_root,
    "starting": starting_master,
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_diagnosis_looks_as_it_should(name: str) -> None:
    shown = render.as_text(diagnose(FRAMES[name]()), render.Style(80))
    shown = re.sub(r"\[\d\d:\d\d:\d\d\]", "[hh:mm:ss]", shown)  # local time
    path = GOLDEN / f"diagnose-{name}.txt"
    assert shown == path.read_text(), f"see {path.name}"


@pytest.mark.parametrize("frame", [well, no_root])
def test_all_is_well_is_one_line(frame: Callable[[], Evidence]) -> None:
    shown = render.as_text(diagnose(frame()), render.Style(100))
    assert shown.startswith("All is well: 2 workers connected")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("name", FRAMES)
def test_no_line_but_a_command_is_wider_than_the_terminal(name: str, width: int) -> None:
    diagnosis = diagnose(FRAMES[name]())
    commands = {command for finding in diagnosis.findings for command in finding.fix.commands}
    lines = render.as_text(diagnosis, render.Style(width, checks=True)).splitlines()
    assert [line for line in lines if len(line) > width and line.strip() not in commands] == []


def test_colour_adds_nothing_but_colour() -> None:
    diagnosis = diagnose(two_faults())
    plain, coloured = (
        render.as_text(diagnosis, render.Style(80)),
        render.as_text(diagnosis, render.Style(80, colour=True)),
    )
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_commands_stand_alone_and_whole_so_that_they_can_be_copied() -> None:
    for name, frame in FRAMES.items():
        diagnosis = diagnose(frame())
        shown = render.as_text(diagnosis, render.Style(60)).splitlines()
        for command in (command for finding in diagnosis.findings for command in finding.fix.commands):
            assert f"      {command}" in shown, name


def test_hostile_text_in_evidence_moves_no_cursor_and_breaks_no_table() -> None:
    e = changed(killed_master(), MASTER, error="\x1b[2J\x07 | <script>alert(1)</script>\nsecond line")
    assert "\x1b" not in render.as_text(diagnose(e), render.Style(80))
    shown = render.as_markdown(diagnose(e))
    assert "<script>" not in shown
    rows = [line for line in shown.splitlines() if line.startswith("|") and "---" not in line]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in rows)


def test_markdown_has_the_commands_in_a_block() -> None:
    assert "```sh\nmake up WORKERS=2\n```" in render.as_markdown(diagnose(killed_master()))


def test_the_list_names_every_cause_once() -> None:
    shown = render.listing()
    assert all(len(re.findall(rf"^  LK\d+  {slug} ", shown, re.MULTILINE)) == 1 for slug in causes())


@pytest.mark.parametrize("slug", causes())
def test_each_cause_can_be_explained(slug: str) -> None:
    shown = render.explanation(causes()[slug], 80)
    assert slug in shown
    assert "fix" in shown
