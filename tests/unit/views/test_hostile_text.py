"""Whatever text comes from containers, users' requests or other projects: every screen holds its shape."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from rich.cells import cell_len

from sidecar.model.incident import EvidenceItem, IncidentKind, MemorySample, Severity
from sidecar.model.snapshot import Blind, EndpointStats, Failure, LogLine, RunStatus, Snapshot, VerdictSoFar, Warn
from sidecar.views.frame import frame
from sidecar.views.lines import MOST_CHARACTERS, TextSpan, cut, cut_middle, plain, wrapped
from sidecar.views.scene import ContainerLog, Scene, ScreenName, ViewState
from sidecar.views.screens import draw
from tests.fakes import sidecar_samples as samples

CORPUS = {
    "colours": "\x1b[31;1mred\x1b[0m",
    "cursor": "\x1b[2J\x1b[H\x1b[10;10H\x1b[?1049l",
    "title": "\x1b]0;owned\x07\x1b]8;;http://x\x1b\\link",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "unfinished": "text\x1b[",
    "unended string": "\x1bP" + "q" * 50,
    "c1": "\x9b31m\x9d0;t\x9c\x85",
    "newlines": "one\ntwo\r\nthree\u2028four\x0bfive",
    "backspaces": "safe\b\b\b\bevil\x7f\x00",
    "markup": "[bold red]x[/] [link=http://x]y[/link] <script>alert(1)</script> {0} %s",
    "bidi": "abc\u202egnp.exe\u2066\u200f",
    "zero width": "a\u200bb\u200dc\ufeffd",
    "combining": "Z" + "\u0301\u0323" * 3000,
    "wide": "测试容器" * 40,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈❤️" * 30,
    "halfwidth": "ｶﾞ" * 40,
    "tabs": "\t" * 60,
    "blank": "   ",
    "empty": "",
    "no blanks": "x" * 5000,
    "a megabyte": "line " * 210_000,
    "a megabyte of escapes": "\x1b[31m" * 210_000,
    "a megabyte of marks": "\u0301" * 1_048_576,
    "lone surrogate": "a\ud800b",
    "private": "\ue000\U000f0000",
}


def hostile(text: str) -> Snapshot:
    """Put a text wherever a text can come from outside."""
    evil = samples.container(text, 1, name=text, health=text, project="shop")
    dead = replace(samples.dead(text, 2, 1), name=f"{text}2", state=text)
    kill = replace(
        samples.oom_story(samples.NOW)[2],
        text=text,
        container=text,
        service=text,
        project=text,
        workers=(text, text),
        note=text,
        run_id=text,
        evidence=(
            EvidenceItem(text, text, samples.NOW, (text, text)),
            EvidenceItem("memory", text, None, (), (MemorySample(samples.NOW, -5, 2**64),)),
        ),
    )
    other = samples.incident(IncidentKind.EXIT, samples.NOW, text, severity=Severity.ERROR, container=text, cause=text)
    return replace(
        samples.running(),
        project=text,
        watched="shop",
        containers=(*samples.stack(2), evil, dead),
        run=RunStatus(text, text, samples.NOW),
        verdict=VerdictSoFar(text, (text, text)),
        warnings=(Warn("error", text), Warn("warn", text)),
        incidents=(kill, other),
        blind=(Blind(samples.NOW - timedelta(seconds=9), None, text, covered=False, text=text),),
        failures=(Failure(text, text, text, 2**63, None, samples.NOW),),
        endpoints=(EndpointStats(text, text, 2**63, 5, 1e12, 1e9),),
        logs=(LogLine(samples.NOW, text, text, text), LogLine(None, text, text, text)),
        locust=replace(samples.locust(2), state=text),
    )


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("where", ScreenName)
def test_hostile_text_breaks_no_screen(name: str, where: ScreenName) -> None:
    text = CORPUS[name]
    snapshot = hostile(text)
    log = ContainerLog(text, tuple(snapshot.logs) * 20, samples.NOW, text)
    scene = Scene(snapshot, samples.NOW, UTC, problem=text, log=log, incident=snapshot.incidents[0])
    state = ViewState(where=where, container=text, incident=snapshot.incidents[0].id)
    for width, height in ((40, 10), (80, 24), (250, 60)):
        lines = plain(draw(scene, state, width=width, height=height, aside=text).lines).split("\n")
        assert lines.pop() == ""
        assert len(lines) == height
        assert max(map(cell_len, lines)) <= width
        assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_text_breaks_no_piped_frame(name: str) -> None:
    scene = Scene(hostile(CORPUS[name]), samples.NOW, UTC)
    for width in (40, 120):
        lines = plain(frame(scene, width=width, height=None).lines).split("\n")
        assert max(map(cell_len, lines)) <= width
        assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", CORPUS)
def test_no_span_is_longer_than_a_screen_can_be(name: str) -> None:
    span = TextSpan(CORPUS[name])
    assert len(span.text) <= MOST_CHARACTERS
    assert span.text.isprintable()


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_cutting_and_wrapping_keep_to_the_width(name: str, width: int) -> None:
    text = TextSpan(CORPUS[name]).text
    assert cell_len(cut(text, width)) <= width
    assert cell_len(cut_middle(text, width)) <= width
    rows = wrapped(text, width, 3)
    assert len(rows) <= 3
    assert all(cell_len(row) <= max(2, width) for row in rows)


def test_a_name_that_is_cut_keeps_the_number_at_its_end() -> None:
    assert cut_middle("a-service-with-a-long-name-12", 14) == "a-service…e-12"


def test_a_state_of_any_length_pushes_no_column_out() -> None:
    text = plain(draw(Scene(hostile(CORPUS["no blanks"]), samples.NOW, UTC), ViewState(), width=80, height=24).lines)
    assert "USED/LIMIT" in text


def test_markup_is_shown_and_not_obeyed() -> None:
    text = plain(draw(Scene(hostile(CORPUS["markup"]), samples.NOW, UTC), ViewState(), width=140, height=40).lines)
    assert "[bold red]x[/]" in text
