"""The keys of the live view: what is pressed, what is done, what the help says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.cli.screen import decoded, is_begun
from sidecar.model.incident import IncidentKind
from sidecar.model.snapshot import Snapshot
from sidecar.views.incident_groups import grouped
from sidecar.views.keys import KEYS, foot, pressed
from sidecar.views.lines import plain
from sidecar.views.order import SORTS, ordered
from sidecar.views.scene import Scene, ScreenName, ViewState
from sidecar.views.screens import draw
from tests.fakes import sidecar_samples as samples


def after(*keys: str, state: ViewState | None = None, snapshot: Snapshot | None = None) -> ViewState:
    state = state or ViewState()
    for key in keys:
        state = pressed(key, state, snapshot or samples.oom())
    return state


def test_no_key_means_two_things_on_one_screen() -> None:
    for where in ScreenName:
        names = [name for key in KEYS if where in key.where for name in key.names]
        assert len(names) == len(set(names))


def test_the_help_screen_has_every_key() -> None:
    state = ViewState(where=ScreenName.HELP)
    text = plain(draw(Scene(samples.oom(), samples.NOW, None), state, width=250, height=60).lines)
    for key in KEYS:
        assert f"{key.label:<12}{key.does}" in text


@pytest.mark.parametrize("where", ScreenName)
def test_the_foot_line_names_the_way_out_of_every_screen(where: ScreenName) -> None:
    assert ("q", "quit") in foot(where)
    assert where is ScreenName.MAIN or foot(where)[0] == ("Esc", "back")


@pytest.mark.parametrize("where", ScreenName)
@pytest.mark.parametrize("key", ["q", "Q", "ctrl-c", "ctrl-d"])
def test_leaving_works_from_every_screen(where: ScreenName, key: str) -> None:
    assert after(key, state=ViewState(where=where)).leaving


@pytest.mark.parametrize("key", ["x", "Z", "right", "é", ""])
def test_a_key_without_meaning_changes_nothing(key: str) -> None:
    assert after(key) == ViewState()


def test_pause_is_a_toggle() -> None:
    assert after("p").paused
    assert not after("p", "p").paused


def test_the_sort_key_steps_through_every_order_and_comes_round() -> None:
    state, seen = ViewState(), []
    for _ in SORTS:
        state = after("s", state=state)
        seen.append(state.sort)
    assert sorted(seen) == sorted(way.key for way in SORTS)
    assert state.sort == "worst"
    assert after("s", "S").sort == "worst"


def test_another_order_begins_in_its_own_direction() -> None:
    assert after("r").reverse
    assert not after("r", "s").reverse


@pytest.mark.parametrize("sort", [way.key for way in SORTS])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_order_keeps_every_container(sort: str, reverse: bool) -> None:  # noqa: FBT001  # pytest passes it so
    snapshot = samples.watched()
    own, watched = ordered(snapshot, sort, reverse=reverse)
    assert sorted(one.name for one in [*own, *watched]) == sorted(container.name for container in snapshot.containers)
    assert {one.project for one in watched} == {"shop"}


def test_what_has_no_value_is_last_in_either_direction() -> None:
    snapshot = samples.trouble()
    for reverse in (False, True):
        assert ordered(snapshot, "cpu", reverse=reverse)[0][-1].name == "locust-locust-worker-3"
    assert ordered(snapshot, "cpu", reverse=False)[0][0].name == "locust-locust-worker-4"
    assert ordered(snapshot, "cpu", reverse=True)[0][0].name == "locust-locust-master-1"


def test_the_selection_moves_along_what_is_shown_and_stops_at_its_ends() -> None:
    own, _ = ordered(samples.oom(), "worst", reverse=False)
    assert after("down").container == own[0].name
    assert after("down", "j").container == own[1].name
    assert after("down", "up", "up").container == own[0].name
    assert after("G").container == own[-1].name
    assert after("G", "down").container == own[-1].name
    assert after("end", "home").container == own[0].name


def test_a_page_is_as_long_as_the_last_drawing_found() -> None:
    state = ViewState(page=5)
    own, _ = ordered(samples.sixty(), "worst", reverse=False)
    assert after("down", "pagedown", state=state, snapshot=samples.sixty()).container == own[5].name


def test_the_selection_stays_with_its_container_when_the_order_changes() -> None:
    assert after("down", "down", "s", "r").container == after("down", "down").container


def test_a_selected_container_that_is_gone_is_no_selection() -> None:
    gone = ViewState(container="long-gone")
    own, _ = ordered(samples.oom(), "worst", reverse=False)
    assert after("down", state=gone).container == own[0].name
    assert after("l", state=gone).container == own[0].name


def test_enter_opens_the_log_of_the_selected_container_and_escape_leads_back() -> None:
    state = after("down", "down", "enter")
    assert (state.where, state.container) == (ScreenName.LOG, after("down", "down").container)
    assert after("esc", state=state).where is ScreenName.MAIN


def test_from_the_incidents_to_one_to_its_containers_log_and_all_the_way_back() -> None:
    state = after("i", "enter")
    assert state.where is ScreenName.INCIDENT
    kill = next(incident for incident in samples.oom().incidents if incident.kind is IncidentKind.OOM_KILL)
    assert state.incident == kill.id
    state = after("l", state=state)
    assert (state.where, state.container) == (ScreenName.LOG, kill.container)
    trail = [after(*["esc"] * number, state=state).where for number in (1, 2, 3)]
    assert trail == [ScreenName.INCIDENT, ScreenName.INCIDENTS, ScreenName.MAIN]


def test_the_cursor_of_the_incidents_begins_on_the_newest() -> None:
    newest, second, *_ = [group.root for group in grouped(samples.oom())]
    assert after("i", "down").incident == second.id
    assert after("i", "down", "up").incident == newest.id
    assert after("i", "l").container == newest.container


def test_a_screens_own_key_also_closes_it() -> None:
    assert after("?", "?").where is ScreenName.MAIN
    assert after("i", "i").where is ScreenName.MAIN
    assert after("f", "f").where is ScreenName.MAIN


def test_a_log_is_scrolled_from_its_end_and_no_further_than_it_reaches() -> None:
    state = replace(after("down", "l"), reach=30, page=20)
    assert after("up", state=state).scroll == 1
    assert after("pageup", "pageup", state=state).scroll == 30
    assert after("pageup", "G", state=state).scroll == 0


def test_help_is_scrolled_from_its_top() -> None:
    state = replace(after("?"), reach=8, page=20)
    assert after("down", state=state).scroll == 1
    assert after("end", state=state).scroll == 8


@pytest.mark.parametrize("where", ScreenName)
def test_every_key_on_every_screen_of_an_empty_stack_is_harmless(where: ScreenName) -> None:
    for key in KEYS:
        for name in key.names:
            state = pressed(name, ViewState(where=where), samples.empty())
            draw(Scene(samples.empty(), samples.NOW, None), state, width=80, height=24)


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ("q",)),
        (b"\x1b", ("esc",)),
        (b"\x1b[A\x1bOB", ("up", "down")),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~", ("pageup", "pagedown", "home", "end")),
        (b"\r\x7f\x03", ("enter", "backspace", "ctrl-c")),
        (b"\x1b[200~", ()),
        (b"\x1b[<0;12;3Mj", ("j",)),
        (b"\x1b[1;5q", ()),
        (b"\x1bq", ("esc", "q")),
        ("é".encode(), ("é",)),
        (b"\xff\xfe", ()),
        (b"\x1b[", ("esc",)),
        (b"", ()),
    ],
)
def test_what_a_terminal_sends_becomes_names_of_keys(data: bytes, keys: tuple[str, ...]) -> None:
    assert decoded(data) == keys


@pytest.mark.parametrize(("data", "begun"), [(b"\x1b", True), (b"j\x1b[1;", True), (b"\x1b[A", False), (b"q", False)])
def test_a_sequence_that_has_only_begun_is_waited_for(data: bytes, begun: bool) -> None:  # noqa: FBT001  # as above
    assert is_begun(data) is begun
