"""The containers as a table that fits any width and height. Pure.

The stack's own containers and those of a watched project are two groups with the same columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sidecar.model.snapshot import WORKER, Container, Locust
from sidecar.views.columns import BAR, COLUMNS, NAME, Column, ContainerRow, memory_bar, state_of
from sidecar.views.lines import DIM, SELECTED, TITLE, Line, TextSpan, cut_middle, line, pad, width_of
from sidecar.views.order import SORTS_BY_KEY, users_by_container

ROOMY_COLUMNS = 110  # from here on memory is written with Docker's four digits instead of three
_NARROW_GAP, _ROOMY_GAP = 1, 2
_LEAST_BAR, _LEAST_ROOMY_BAR, _MOST_BAR = 6, 10, 24
_LEAST_NAME, _NAME_SHARE = 12, 3  # a name takes a third of the screen at most
_QUIET_RANK = 20


@dataclass(frozen=True, slots=True)
class TableGroup:
    """Containers to draw, and the number of lines that they may take (None: as many as they need)."""

    containers: Sequence[Container]
    rows: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What all groups share: users by container, the selected container, the order, the moment, the width."""

    locust: Locust | None
    now: datetime
    width: int
    selected: str | None = None
    sort: str = ""
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class _Window:
    shown: Sequence[Container]
    above: int
    hidden: Sequence[Container]


def tables(groups: Sequence[TableGroup], look: Look) -> tuple[Line, list[list[Line]]]:
    """Draw the head line and each group's lines. Rows that do not fit are counted in a group's last line."""
    windows = [_window(group, look.selected) for group in groups]
    names = names_of([container for group in groups for container in group.containers])
    users = users_by_container(look.locust)
    roomy = look.width >= ROOMY_COLUMNS
    contents = [
        [
            ContainerRow(
                container,
                names[container.name],
                users.get(container.name),
                look.now,
                roomy,
                container.name == look.selected,
            )
            for container in window.shown
        ]
        for window in windows
    ]
    columns, widths, cells = _layout([row for rows in contents for row in rows], look)
    drawn, position = [], 0
    for rows, window in zip(contents, windows, strict=True):
        lines = [_line(columns, widths, cells, position + number, row) for number, row in enumerate(rows)]
        position += len(rows)
        drawn.append([*lines, _fold_line(window)] if window.hidden else lines)
    return _head(columns, widths, look), drawn


def _window(group: TableGroup, selected: str | None) -> _Window:
    """Choose the page with the selected container."""
    everyone, rows = group.containers, group.rows
    if rows is None or len(everyone) <= rows:
        return _Window(everyone, 0, ())
    room = max(1, rows - 1)
    place = next((number for number, container in enumerate(everyone) if container.name == selected), 0)
    start = min(place // room * room, len(everyone) - room)
    return _Window(everyone[start : start + room], start, [*everyone[:start], *everyone[start + room :]])


def names_of(containers: Sequence[Container]) -> dict[str, str]:
    """Name each container by service and number, without the number if the service has only one container."""
    sizes = Counter((container.project, container.service) for container in containers)
    return {
        container.name: container.service
        if sizes[container.project, container.service] == 1 and container.service != WORKER
        else f"{container.service}-{container.index}"
        for container in containers
    }


def _fold_line(window: _Window) -> Line:
    kinds = Counter(state_of(container)[0] for container in window.hidden)
    if len(kinds) == 1:
        (only,) = kinds
        detail = f"all {only}"
    else:
        detail = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    below = len(window.hidden) - window.above
    count = f"{window.above} above, {below} below" if window.above else f"{below} more"
    return line("  ", TextSpan(f"… {count}, {detail}", DIM))


def _head(columns: Sequence[Column], widths: Mapping[str, int], look: Look) -> Line:
    parts = [
        [TextSpan(pad(_heading(column, look), widths[column.title], right=column.right), TITLE)] for column in columns
    ]
    return _spaced(parts, _gap(look.width), " ")


def _heading(column: Column, look: Look) -> str:
    """Name a column, with an arrow if the rows are sorted by it."""
    sort = SORTS_BY_KEY.get(look.sort)
    if sort is None or not column.title or sort.title != column.title:
        return column.title
    arrow = "▼" if sort.falling != look.reverse else "▲"
    return f"{arrow}{column.title}" if column.right else f"{column.title}{arrow}"


def _line(
    columns: Sequence[Column],
    widths: Mapping[str, int],
    cells: Mapping[str, list[TextSpan]],
    position: int,
    row: ContainerRow,
) -> Line:
    parts = [_padded(column, widths[column.title], cells[column.title][position], row) for column in columns]
    return _spaced(parts, _ROOMY_GAP if row.roomy else _NARROW_GAP, "▸" if row.selected else " ")


def _padded(column: Column, width: int, span: TextSpan, row: ContainerRow) -> Sequence[TextSpan]:
    if column.title == BAR:
        return memory_bar(row.container, width)
    text = cut_middle(span.text, width) if column.title == NAME else span.text
    if span.style == SELECTED:  # the filling is not selected
        return [TextSpan(text, span.style), TextSpan(" " * (width - width_of([TextSpan(text)])))]
    return [TextSpan(pad(text, width, right=column.right), span.style)]


def _spaced(parts: Sequence[Sequence[TextSpan]], gap_cells: int, cursor: str) -> Line:
    gap = TextSpan(" " * gap_cells)
    spans = [*parts[0], TextSpan(cursor, SELECTED if cursor.strip() else "")]
    for place, part in enumerate(parts[1:]):
        spans.extend([gap, *part] if place else part)
    return tuple(spans)


def _layout(
    rows: Sequence[ContainerRow], look: Look
) -> tuple[list[Column], dict[str, int], Mapping[str, list[TextSpan]]]:
    """Choose the columns that fit, and their widths. The memory bar gets the remaining width."""
    cells = {column.title: [column.cell(row) for row in rows] for column in COLUMNS}
    widths = {column.title: _wanted(column, cells[column.title], look) for column in COLUMNS}
    bar = _LEAST_ROOMY_BAR if look.width >= ROOMY_COLUMNS else _LEAST_BAR
    widths[""], widths[BAR] = 1, bar
    widths[NAME] = min(widths[NAME], max(_LEAST_NAME, look.width // _NAME_SHARE))
    ranks = {column.title: _rank(column, rows, look) for column in COLUMNS}
    columns, gap = list(COLUMNS), _gap(look.width)
    while (spare := look.width - _total(columns, widths, gap)) < 0:
        last = max(columns, key=lambda column: ranks[column.title])
        if not ranks[last.title]:
            widths[NAME] = max(_LEAST_NAME, widths[NAME] + spare)
            break
        columns.remove(last)
    if any(column.title == BAR for column in columns):
        widths[BAR] = min(_MOST_BAR, bar + max(0, spare))
    return columns, widths, cells


def _wanted(column: Column, cells: Sequence[TextSpan], look: Look) -> int:
    wanted = max([width_of([span]) for span in cells] + [len(_heading(column, look)), column.least])
    return min(wanted, column.most or wanted)


def _rank(column: Column, rows: Sequence[ContainerRow], look: Look) -> int:
    """Rank a column for dropping. The sorted column stays."""
    sort = SORTS_BY_KEY.get(look.sort)
    if sort is not None and sort.title == column.title:
        return 0
    quiet = column.quiet is not None and all(column.quiet(row) for row in rows)
    return column.rank + (_QUIET_RANK if quiet else 0)


def _gap(width: int) -> int:
    return _ROOMY_GAP if width >= ROOMY_COLUMNS else _NARROW_GAP


def _total(columns: Sequence[Column], widths: Mapping[str, int], gap: int) -> int:
    gaps = (len(columns) - 2) * gap + 1  # the mark always stands close to the name
    return sum(widths[column.title] for column in columns) + gaps
