"""Whole frames, compared as text. `UPDATE_GOLDEN=1` writes them anew; then read the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from sidecar.model.incident import IncidentKind
from sidecar.model.snapshot import LogLine, Snapshot, Worker
from sidecar.views.frame import frame
from sidecar.views.lines import Line, ascii_only, line, plain, text_of, width_of
from sidecar.views.scene import ContainerLog, Scene, ScreenName, ViewState
from sidecar.views.screens import draw, with_footer
from tests.fakes import sidecar_samples as samples
from tests.paths import ROOT

GOLDEN = ROOT / "tests/golden"
SIZES = ((80, 24), (140, 40))
SCENES: dict[str, Callable[[], Snapshot]] = {
    "empty": samples.empty,
    "running": samples.running,
    "stale": samples.stale,
    "trouble": samples.trouble,
    "sixty": samples.sixty,
    "blind": samples.blind,
    "oom": samples.oom,
    "watched": samples.watched,
    "cluster": samples.cluster,
}
ASIDE = "every 2 s · page: http://127.0.0.1:8090"


def scene_of(snapshot: Snapshot, **more: Any) -> Scene:
    return Scene(snapshot, samples.NOW, UTC, **more)


def lines_of(snapshot: Snapshot, width: int, height: int | None, **more: Any) -> list[Line]:
    return list(frame(scene_of(snapshot, **more), width=width, height=height).lines)


def drawn(snapshot: Snapshot, width: int, height: int | None, problem: str = "") -> str:
    return plain(lines_of(snapshot, width, height, problem=problem))


def screen(where: ScreenName, width: int, height: int, **more: Any) -> str:
    """Draw one of the other screens, over the snapshot of a worker that has just died."""
    snapshot = samples.oom()
    kill = next(incident for incident in snapshot.incidents if incident.kind is IncidentKind.OOM_KILL)
    name = "locust-locust-master-1"
    state = ViewState(where=where, trail=(ScreenName.MAIN,), incident=kill.id, container=name, **more)
    log = ContainerLog(name, samples.LOGS * 6, samples.NOW)
    return plain(draw(scene_of(snapshot, log=log), state, width=width, height=height, aside=ASIDE).lines)


def approve(name: str, text: str, size: tuple[int, int]) -> None:
    path = GOLDEN / f"monitor-{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", SCENES)
def test_frame_is_as_it_was_approved(scene: str, size: tuple[int, int]) -> None:
    width, height = size
    drawing = draw(scene_of(SCENES[scene]()), ViewState(), width=width, height=height, aside=ASIDE)
    approve(scene, plain(drawing.lines), size)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("where", [where for where in ScreenName if where is not ScreenName.MAIN])
def test_screen_is_as_it_was_approved(where: ScreenName, size: tuple[int, int]) -> None:
    approve(f"screen-{where}", screen(where, *size), size)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_held_picture_is_as_it_was_approved(size: tuple[int, int]) -> None:
    at = samples.NOW - timedelta(seconds=75)
    snapshot = replace(samples.running(), at=at, engine_read_at=at)
    scene = scene_of(snapshot, paused=True, missed=2)
    state = ViewState(sort="cpu", paused=True, container="locust-locust-worker-3")
    approve("paused", plain(draw(scene, state, width=size[0], height=size[1], aside=ASIDE).lines), size)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 109, 110, 140, 250])
@pytest.mark.parametrize("height", [8, 16, 24, 40])
def test_no_frame_is_wider_or_higher_than_the_screen(scene: str, width: int, height: int) -> None:
    lines = lines_of(SCENES[scene](), width, height)
    assert len(lines) <= height
    assert max(width_of(one) for one in lines) <= width


@pytest.mark.parametrize("where", ScreenName)
@pytest.mark.parametrize("width", range(40, 251, 30))
@pytest.mark.parametrize("height", [6, 24, 60])
def test_every_screen_is_as_high_as_the_terminal_and_no_wider(where: ScreenName, width: int, height: int) -> None:
    lines = screen(where, width, height).splitlines()
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("where", ScreenName)
@pytest.mark.parametrize("width", [40, 55, 80, 140])
def test_every_screen_says_live_stale_or_paused_in_its_title(where: ScreenName, width: int) -> None:
    for scene, word in (
        (scene_of(samples.oom()), "● live"),
        (scene_of(samples.stale()), "STALE"),
        (scene_of(samples.oom(), paused=True), "PAUSED"),
    ):
        drawing = draw(scene, ViewState(where=where), width=width, height=24)
        assert word in text_of(drawing.lines[0])
        assert word == "● live" or "live" not in text_of(drawing.lines[0])


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


def test_a_frame_without_height_has_every_incident_and_what_locust_lists() -> None:
    text = drawn(samples.oom(), 120, None)
    for wanted in ("OOM kill", "OOM forecast", "worker left", "1,204", "GET /api/items", "POST /api/cart"):
        assert wanted in text
    assert "  … " not in text


def test_failures_and_endpoints_stand_only_where_there_is_room() -> None:
    assert "── Endpoints" in drawn(samples.oom(), 140, 40)
    assert "── Endpoints" not in drawn(samples.oom(), 80, 24)
    assert "locust-worker-1" in drawn(samples.oom(), 80, 24)


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
    lines = lines_of(samples.stale(), 80, 24)
    assert all(span.style in {"dim", "title", "warn", "error"} for one in lines[1:] for span in one)


def test_a_lost_sidecar_is_the_first_warning() -> None:
    text = drawn(replace(samples.running(), stale=True), 80, 24, problem="the sidecar does not answer")
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
    lines = lines_of(replace(samples.running(), logs=(entry,)), 80, 24)
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
    later = Scene(snapshot, samples.NOW + timedelta(minutes=1), UTC)
    text = plain(frame(later, width=140, height=40).lines)
    assert "(3m 00s)" in text
    assert "13m 01s" in text


def test_after_a_run_its_last_figures_are_called_so() -> None:
    stopped = samples.locust(4, state="stopped", users=0)
    assert "last run:  412 req/s" in drawn(samples.snapshot(samples.stack(4), stopped), 140, 40)
    assert "last run" not in drawn(samples.running(), 140, 40)


def test_a_picture_that_is_held_keeps_its_own_time() -> None:
    held = Scene(samples.running(), samples.NOW + timedelta(minutes=9), UTC, paused=True, missed=3)
    text = plain(frame(held, width=140, height=40).lines)
    assert "(2m 00s)" in text
    assert "12m 01s" in text
    assert "PAUSED  9m 00s ago, p resumes, 3 new incidents since!" in text.splitlines()[0]
    assert "Containers as of 15:04:05, PAUSED" in text


def test_blindness_is_never_called_well() -> None:
    calm = replace(samples.blind(), incidents=())
    assert "All is well" in drawn(samples.running(), 80, 24)
    assert "All is well" not in drawn(calm, 80, 24)
    assert "All is well" not in drawn(replace(samples.running(), stale=True), 80, 24)


def test_a_gap_that_was_made_up_for_is_not_complained_of() -> None:
    text = drawn(samples.blind(), 140, 40)
    assert "NOW, for 45s: Docker's events did not arrive from 15:03:20" in text
    assert "! the monitor was not running from 15:02:35 to 15:02:44 UTC (9.0 s)" in text
    assert "14:59:05" not in text


def test_the_selected_container_is_marked_and_its_page_shown() -> None:
    state = ViewState(container="locust-locust-worker-60")
    drawing = frame(scene_of(samples.sixty()), width=80, height=24, state=state)
    text = plain(drawing.lines)
    assert sum("▸" in one for one in text.splitlines()) == 1
    assert any(one.startswith(" ▸locust-worker-60") for one in text.splitlines())
    assert "above" in next(one for one in text.splitlines() if one.lstrip().startswith("…"))


def test_the_column_that_orders_the_rows_is_kept_and_marked() -> None:
    text = plain(frame(scene_of(samples.oom()), width=60, height=24, state=ViewState(sort="users")).lines)
    assert "▼USERS" in text
    assert "by users ▼" in text
    text = plain(frame(scene_of(samples.oom()), width=60, height=24, state=ViewState(sort="users", reverse=True)).lines)
    assert "▲USERS" in text


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [("oom", "OOM-killed"), ("stopped", "stopped"), ("crashed", "exited 137"), (None, "exited 137")],
)
def test_a_dead_container_says_why(reason: str | None, wanted: str) -> None:
    gone = replace(samples.dead("locust-worker", 3, 137), exit_reason=reason)
    text = drawn(samples.snapshot((gone, samples.container("locust-master")), samples.locust(1)), 80, 24)
    assert wanted in next(one for one in text[text.index("── Containers") :].splitlines() if "locust-worker-3 " in one)


def test_a_new_failure_is_said_while_another_screen_is_open() -> None:
    assert "OOM kill  locust-worker-3" in screen(ScreenName.HELP, 80, 24)
    old = Scene(samples.oom(), samples.NOW + timedelta(minutes=2), UTC)
    assert "OOM kill" not in plain(draw(old, ViewState(where=ScreenName.HELP), width=80, height=24).lines)


def test_remote_workers_have_rows_of_their_own_on_the_locust_screen_and_are_counted_apart() -> None:
    figures = samples.locust(2)
    far = Worker("load2_3f2a9c51d0", None, "running", 70, 35.0, 60 << 20, remote=True)
    lost = Worker("load3_77", None, "missing", 0, 0.0, 0, remote=True)
    both = replace(figures, workers=(*figures.workers, far, lost), workers_connected=3)
    scene = scene_of(replace(samples.running(), locust=both))
    text = "\n".join(
        text_of(row) for row in draw(scene, ViewState(where=ScreenName.LOCUST), width=100, height=40).lines
    )
    assert "workers 2/2 + 1 remote" in text
    rows = [row.split() for row in text.splitlines() if " remote load" in row]
    assert rows == [
        ["70", "35%", "60MiB", "running", "remote", "load2_3f2a9c51d0"],
        ["0", "0%", "0B", "missing", "remote", "load3_77"],
    ]
