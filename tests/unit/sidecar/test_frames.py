"""Whole frames, compared as text. `UPDATE_GOLDEN=1` writes them anew; then read the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from sidecar.model.snapshot import LogLine, Snapshot
from sidecar.views.frame import frame, with_footer
from sidecar.views.lines import line, text_of, width_of
from sidecar.views.plain import ascii_only, plain
from tests.unit.sidecar import sidecar_samples as samples

GOLDEN = Path(__file__).parents[2] / "golden"
SIZES = ((80, 24), (140, 40))
SCENES: dict[str, Callable[[], Snapshot]] = {
    "empty": samples.empty,
    "running": samples.running,
    "stale": samples.stale,
    "trouble": samples.trouble,
    "sixty": samples.sixty,
}


def drawn(snapshot: Snapshot, width: int, height: int | None, trouble: str = "") -> str:
    return plain(frame(snapshot, now=samples.NOW, width=width, height=height, zone=UTC, trouble=trouble))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SCENES)
def test_frame_is_as_it_was_approved(scene: str, size: tuple[int, int]) -> None:
    width, height = size
    text = drawn(SCENES[scene](), width, height)
    path = GOLDEN / f"monitor-{scene}-{width}x{height}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 109, 110, 140, 220])
@pytest.mark.parametrize("height", [8, 16, 24, 40])
def test_no_frame_is_wider_or_higher_than_the_screen(scene: str, width: int, height: int) -> None:
    lines = frame(SCENES[scene](), now=samples.NOW, width=width, height=height, zone=UTC)
    assert len(lines) <= height
    assert max(width_of(one) for one in lines) <= width


@pytest.mark.parametrize("width", [80, 140])
def test_each_table_line_is_equally_wide_so_that_columns_align(width: int) -> None:
    lines = drawn(samples.trouble(), width, None).splitlines()
    start = next(number for number, one in enumerate(lines) if one.startswith("── Containers")) + 1
    table = lines[start : start + 1 + len(samples.trouble().containers)]
    assert len({cell_len(one) for one in table}) == 1


def test_a_frame_without_height_leaves_nothing_out() -> None:
    text = drawn(samples.sixty(), 120, None)
    assert all(f"locust-worker-{number} " in text for number in range(1, 61))
    assert "more" not in text


def test_sixty_workers_fold_into_one_line_that_says_how_they_are() -> None:
    text = drawn(samples.sixty(), 80, 24)
    assert "healthy" in next(one for one in text.splitlines() if one.lstrip().startswith("…"))
    assert "locust-master" in text


def test_the_worst_containers_stand_above_the_fold() -> None:
    workers = list(samples.stack(60))
    workers[50] = samples.dead("locust-worker", workers[50].index, 1)
    text = drawn(samples.snapshot(tuple(workers), samples.locust(60)), 80, 24)
    table = text[text.index("── Containers") :].splitlines()
    assert table[2].startswith(f"✗ locust-worker-{workers[50].index}")
    assert "exited 1" in table[2]


def test_a_memory_warning_is_told_by_mark_and_word_not_by_colour_alone() -> None:
    text = drawn(samples.trouble(), 80, 24)
    assert "! locust-worker-2 uses 92% of its memory limit" in text.replace("\n  ", " ")
    assert any(one.startswith("! locust-worker-2") and "92%" in one for one in text.splitlines())


def test_stale_data_says_so_in_title_and_headings_with_its_age() -> None:
    text = drawn(samples.stale(), 80, 24)
    assert "STALE" in text.splitlines()[0]
    assert "42s ago" in text.splitlines()[0]
    assert "Containers as of 15:03:23, STALE" in text
    assert "live" not in text


def test_the_rows_of_stale_data_are_not_drawn_in_live_styles() -> None:
    lines = frame(samples.stale(), now=samples.NOW, width=80, height=24, zone=UTC)
    assert all(span.style in {"dim", "title", "warn", "error"} for one in lines[1:] for span in one)


def test_a_lost_sidecar_is_the_first_warning() -> None:
    text = drawn(replace(samples.running(), stale=True), 80, 24, trouble="the sidecar does not answer")
    lines = text.splitlines()
    heading = next(number for number, one in enumerate(lines) if one.startswith("── Warnings"))
    assert lines[heading + 1] == "✗ the sidecar does not answer"


def test_escape_codes_from_a_container_do_not_reach_the_screen() -> None:
    evil = LogLine(samples.NOW, "locust-master", "m", "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\rback\u202egnp\x9b1m")
    text = drawn(replace(samples.running(), logs=(evil,)), 80, 24)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "red back" in text
    assert "owned" not in text


def test_wide_characters_are_counted_as_the_terminal_counts_them() -> None:
    entry = LogLine(samples.NOW, "locust-master", "m", "测" * 100)
    lines = frame(replace(samples.running(), logs=(entry,)), now=samples.NOW, width=80, height=24, zone=UTC)
    assert 78 <= width_of(lines[-1]) <= 80
    assert text_of(lines[-1]).endswith("…")


def test_many_warnings_are_counted_when_they_do_not_fit() -> None:
    ill = tuple(samples.container("locust-worker", number, health="unhealthy") for number in range(1, 41))
    text = drawn(samples.snapshot((*ill, samples.container("locust-master")), samples.locust(40)), 80, 24)
    assert "40 errors" in text
    assert sum(one.startswith("✗ locust-worker") and "is unhealthy" in one for one in text.splitlines()) >= 2
    assert any("more" in one for one in text.splitlines())


def test_a_container_without_memory_limit_has_no_bar_and_no_warning() -> None:
    free = samples.container("locust-worker", 1, memory_limit_bytes=None, memory_percent=95.0)
    text = drawn(samples.snapshot((free, samples.container("locust-master")), samples.locust(1)), 140, 40)
    row = next(one for one in text.splitlines() if one.startswith("  locust-worker-1"))
    assert "no limit" in row
    assert "█" not in row


def test_ascii_output_keeps_the_layout() -> None:
    text = drawn(samples.trouble(), 80, 24)
    flat = ascii_only(text)
    assert flat.isascii()
    assert [len(one) for one in flat.splitlines()] == [len(one) for one in text.splitlines()]


def test_the_footer_is_the_last_line_of_the_screen() -> None:
    lines = with_footer([line("one")], line("foot"), 80, 24)
    assert len(lines) == 24
    assert text_of(lines[-1]) == "foot"


def test_uptime_and_run_length_count_from_the_moment_of_drawing() -> None:
    snapshot = samples.running()
    later = frame(snapshot, now=samples.NOW + timedelta(minutes=1), width=140, height=40, zone=UTC)
    text = plain(later)
    assert "(3m 00s)" in text
    assert "13m 01s" in text


def test_after_a_run_its_last_figures_are_called_so() -> None:
    stopped = samples.locust(4, state="stopped", users=0)
    assert "last run:  412 req/s" in drawn(samples.snapshot(samples.stack(4), stopped), 140, 40)
    assert "last run" not in drawn(samples.running(), 140, 40)
