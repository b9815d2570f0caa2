"""The keys of the live view: one table for actions, help screen and foot line. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sidecar.model.snapshot import Container, Snapshot
from sidecar.views.incident_groups import grouped
from sidecar.views.order import SORTS, ordered
from sidecar.views.scene import ScreenName, ViewState

Action = Callable[[ViewState, Snapshot], ViewState]
_ALL = frozenset(ScreenName)
_MAIN = frozenset({ScreenName.MAIN})
_LISTS = frozenset({ScreenName.MAIN, ScreenName.INCIDENTS})
_ANYTHING = 1_000_000  # longer than any list or text


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table.

    `names` are the decoded keys, `label` the text on them. `does` is the help text. `short` is the word in the foot
    line ("" leaves it out). `where` are the screens on which it works.
    """

    names: tuple[str, ...]
    label: str
    does: str
    action: Action
    short: str = ""
    where: frozenset[ScreenName] = _ALL


def pressed(key: str, state: ViewState, snapshot: Snapshot) -> ViewState:
    """Return the state after a key. A key without a meaning here changes nothing."""
    for row in KEYS:
        if key in row.names and state.where in row.where:
            return row.action(state, snapshot)
    return state


def foot(where: ScreenName) -> list[tuple[str, str]]:
    """Return the foot line of a screen: (key, word)."""
    keys = [(row.label, row.short) for row in KEYS if row.short and where in row.where]
    return [(_BACK, "back"), *keys] if where is not ScreenName.MAIN else keys


def _leave(state: ViewState, _: Snapshot) -> ViewState:
    return replace(state, leaving=True)


def _pause(state: ViewState, _: Snapshot) -> ViewState:
    return replace(state, paused=not state.paused)


def _open(where: ScreenName) -> Action:
    """Make the action that opens a screen, or leaves it if it is open."""

    def action(state: ViewState, snapshot: Snapshot) -> ViewState:
        if state.where is where:
            return _back(state, snapshot)
        return replace(state, where=where, trail=(*state.trail, state.where), scroll=0)

    return action


def _back(state: ViewState, _: Snapshot) -> ViewState:
    if not state.trail:
        return replace(state, where=ScreenName.MAIN, container=None, incident=None, scroll=0)
    return replace(state, where=state.trail[-1], trail=state.trail[:-1], scroll=0)


def _enter(state: ViewState, snapshot: Snapshot) -> ViewState:
    """Open the selected incident in the list of incidents, else the selected container's log."""
    if state.where is not ScreenName.INCIDENTS:
        return _log(state, snapshot)
    chosen = _chosen_incident(state, snapshot)
    return state if chosen is None else _open(ScreenName.INCIDENT)(replace(state, incident=chosen), snapshot)


def _chosen_incident(state: ViewState, snapshot: Snapshot) -> str | None:
    """Return the selected incident of the list; the first one, until one is selected."""
    ids = [group.root.id for group in grouped(snapshot)]
    return state.incident if state.incident in ids else next(iter(ids), None)


def _log(state: ViewState, snapshot: Snapshot) -> ViewState:
    """Open the log of the selected container, or of the selected incident's container."""
    if state.where is ScreenName.LOG:
        return _back(state, snapshot)
    name = (
        _container_of_incident(state, snapshot) if state.where in {ScreenName.INCIDENTS, ScreenName.INCIDENT} else None
    )
    everyone = _containers(state, snapshot)
    known = {container.name for container in everyone}
    name = name or (state.container if state.container in known else None) or (everyone[0].name if everyone else None)
    return state if name is None else _open(ScreenName.LOG)(replace(state, container=name), snapshot)


def _container_of_incident(state: ViewState, snapshot: Snapshot) -> str | None:
    chosen = state.incident if state.where is ScreenName.INCIDENT else _chosen_incident(state, snapshot)
    return next((incident.container for incident in snapshot.incidents if incident.id == chosen), None)


def _containers(state: ViewState, snapshot: Snapshot) -> list[Container]:
    own, watched = ordered(snapshot, state.sort, reverse=state.reverse)
    return [*own, *watched]


def _move(step: int, *, by_page: bool = False) -> Action:
    """Make the action that moves the selection of a list, or scrolls the text of other screens."""

    def action(state: ViewState, snapshot: Snapshot) -> ViewState:
        distance = step * state.page if by_page else step
        if state.where is ScreenName.MAIN:
            names = [container.name for container in _containers(state, snapshot)]
            return replace(state, container=_moved(names, state.container, distance))
        if state.where is ScreenName.INCIDENTS:
            ids = [group.root.id for group in grouped(snapshot)]
            return replace(state, incident=_moved(ids, _chosen_incident(state, snapshot), distance))
        if state.where is ScreenName.LOG:  # a log is looked at from its end
            distance = -distance
        return replace(state, scroll=max(0, min(state.reach, state.scroll + distance)))

    return action


def _moved(names: list[str], selected: str | None, distance: int) -> str | None:
    if not names:
        return selected
    if selected not in names:
        return names[-1 if distance >= _ANYTHING else 0]
    return names[max(0, min(len(names) - 1, names.index(selected) + distance))]


def _sort(step: int) -> Action:
    def action(state: ViewState, _: Snapshot) -> ViewState:
        keys = [sort.key for sort in SORTS]
        place = keys.index(state.sort) if state.sort in keys else 0
        return replace(state, sort=keys[(place + step) % len(keys)], reverse=False)

    return action


def _reverse(state: ViewState, _: Snapshot) -> ViewState:
    return replace(state, reverse=not state.reverse)


_BACK = "Esc"
_WAYS = ", ".join(sort.key for sort in SORTS)

KEYS = (
    Key(("q", "Q", "ctrl-c", "ctrl-d"), "q", "quit (also Ctrl-C and Ctrl-D)", _leave, "quit"),
    Key(("?", "h"), "?", "this help", _open(ScreenName.HELP), "help"),
    Key(("up", "k"), "↑ k", "select the row above; scroll up", _move(-1)),
    Key(("down", "j"), "↓ j", "select the row below; scroll down", _move(1)),
    Key(("pageup", "b"), "PgUp b", "a page up", _move(-1, by_page=True)),
    Key(("pagedown", " "), "PgDn Space", "a page down", _move(1, by_page=True)),
    Key(("home", "g"), "Home g", "go to the first row; in a log, to the oldest line", _move(-_ANYTHING)),
    Key(("end", "G"), "End G", "go to the last row; in a log, to the newest line", _move(_ANYTHING)),
    Key(("enter",), "Enter", "open the selected container's log or the selected incident", _enter, "open", _LISTS),
    Key(("l",), "l", "log of the selected container, or of the incident's container", _log),
    Key(("i",), "i", "all incidents; Enter shows the evidence of one", _open(ScreenName.INCIDENTS), "incidents"),
    Key(("f",), "f", "Locust's failures and endpoints", _open(ScreenName.LOCUST), "failures"),
    Key(("s",), "s", f"sort by the next column of: {_WAYS}", _sort(1), "sort", _MAIN),
    Key(("S",), "S", "sort by the previous column", _sort(-1), where=_MAIN),
    Key(("r",), "r", "reverse the order", _reverse, where=_MAIN),
    Key(("p",), "p", "pause the view; press again to resume", _pause, "pause"),
    Key(("esc", "backspace", "left"), _BACK, "back; on the main screen: clear the selection", _back),
)
