"""The containers as a table that fits any width and height, worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sidecar.model.snapshot import Container, Locust
from sidecar.rules.warnings import MASTER, MEMORY_PERCENT, WORKER
from sidecar.views import units
from sidecar.views.lines import DIM, ERROR, OK, TITLE, WARN, Line, Span, line, pad, width_of

_NARROW_GAP, _ROOMY_GAP = 1, 2
_LEAST_BAR, _MOST_BAR = 6, 24
_LEAST_NAME = 12
_ROOMY_COLUMNS = 110  # from here on memory is written with Docker's four digits instead of three


@dataclass(frozen=True, slots=True)
class Row:
    """What a row is made of: the container, and what must be known beside it."""

    container: Container
    name: str
    users: int | None
    now: datetime
    roomy: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, how it reads a row, and how early it is given up when the screen is narrow."""

    title: str
    cell: Callable[[Row], Span]
    right: bool = True
    rank: int = 0  # the highest rank goes first; 0 stays always
    least: int = 0  # a column whose numbers change each refresh must not change its width with them


def badness(container: Container) -> int:
    """Rank a container: 2 is broken, 1 needs a look, 0 is fine."""
    if container.state in {"exited", "dead", "restarting"} or container.health == "unhealthy":
        return 2
    high = container.memory_limit_bytes and (container.memory_percent or 0) >= MEMORY_PERCENT
    return 1 if high or container.state != "running" or container.health == "starting" else 0


def table(
    containers: Sequence[Container], locust: Locust | None, *, now: datetime, width: int, rows: int | None
) -> list[Line]:
    """Draw the table with its head line; with more containers than `rows`, the rest is folded into a last line."""
    if not containers:
        return [line("  no containers")]
    ordered = sorted(containers, key=_order)
    shown, folded = _folded(ordered, rows)
    names = _names(containers)
    users = _users(locust)
    roomy = width >= _ROOMY_COLUMNS
    content = [Row(one, names[one.name], users.get(one.name), now, roomy) for one in shown]
    drawn = _draw(content, width)
    return [*drawn, _fold_line(folded)] if folded else drawn


def _order(container: Container) -> tuple[int, float, int, str, int]:
    pressure = -(container.memory_percent or 0.0) if badness(container) == 1 else 0.0
    place = {MASTER: 0, WORKER: 1}.get(container.service, 2)
    return -badness(container), pressure, place, container.service, container.index


def _folded(ordered: Sequence[Container], rows: int | None) -> tuple[Sequence[Container], Sequence[Container]]:
    """Split into what is shown and what is folded; `rows` counts the head line and the fold line too."""
    if rows is None or len(ordered) <= rows - 1:
        return ordered, ()
    room = max(1, rows - 2)
    return ordered[:room], ordered[room:]


def _names(containers: Sequence[Container]) -> dict[str, str]:
    """Name each container by service and number, without the number where a service has just one container."""
    sizes = Counter(container.service for container in containers)
    return {
        one.name: one.service if sizes[one.service] == 1 and one.service != WORKER else f"{one.service}-{one.index}"
        for one in containers
    }


def _users(locust: Locust | None) -> dict[str, int]:
    """Add up the users of each container's worker processes."""
    users: Counter[str] = Counter()
    for worker in locust.workers if locust else ():
        if worker.container:
            users[worker.container] += worker.users
    return dict(users)


def _fold_line(folded: Sequence[Container]) -> Line:
    kinds = Counter(_state(one)[0] for one in folded)
    if len(kinds) == 1:
        (only,) = kinds
        detail = f"all {only}"
    else:
        detail = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return line("  ", Span(f"… {len(folded)} more, {detail}", DIM))


def _state(container: Container) -> tuple[str, str]:
    """Say a container's state in a word or two, and its style."""
    if container.state in {"exited", "dead"}:
        code = "" if container.exit_code is None else f" {container.exit_code}"
        return f"{container.state}{code}", ERROR
    if container.state == "restarting":
        return "restarting", ERROR
    if container.state != "running":
        return container.state, WARN
    style = {"healthy": OK, "unhealthy": ERROR, "starting": WARN}.get(container.health or "", "")
    return container.health or "running", style


def _mark(row: Row) -> Span:
    return (Span(" "), Span("!", WARN), Span("✗", ERROR))[badness(row.container)]


def _state_cell(row: Row) -> Span:
    return Span(*_state(row.container))


def _restarts_cell(row: Row) -> Span:
    restarts = row.container.restarts
    if restarts is None:
        return Span(units.UNKNOWN, DIM)
    return Span(str(restarts), WARN if restarts else DIM)


def _cpu_cell(row: Row) -> Span:
    decimals = 2 if row.roomy else 1
    return _known(row.container.cpu_percent, units.percent(row.container.cpu_percent, decimals))


def _memory_style(container: Container) -> str:
    high = container.memory_limit_bytes and (container.memory_percent or 0) >= MEMORY_PERCENT
    return WARN if high else ""


def _memory_percent_cell(row: Row) -> Span:
    value = row.container.memory_percent
    text = units.percent(value, 2 if row.roomy else 0)
    return Span(text, _memory_style(row.container)) if value is not None else Span(text, DIM)


def _memory_cell(row: Row) -> Span:
    used, limit = row.container.memory_working_set_bytes, row.container.memory_limit_bytes
    digits = 4 if row.roomy else 3
    between = " / " if row.roomy else "/"
    if used is None:
        return Span(units.UNKNOWN, DIM)
    ceiling = units.memory(limit, digits) if limit else "no limit"
    return Span(f"{units.memory(used, digits)}{between}{ceiling}", _memory_style(row.container))


def _pair_cell(row: Row, first: int | None, second: int | None) -> Span:
    if first is None or second is None:
        return Span(units.UNKNOWN, DIM)
    return Span(f"{units.traffic(first)}{' / ' if row.roomy else '/'}{units.traffic(second)}")


def _network_cell(row: Row) -> Span:
    return _pair_cell(row, row.container.network_rx_bytes, row.container.network_tx_bytes)


def _block_cell(row: Row) -> Span:
    return _pair_cell(row, row.container.block_read_bytes, row.container.block_write_bytes)


def _pids_cell(row: Row) -> Span:
    return _known(row.container.pids, str(row.container.pids))


def _users_cell(row: Row) -> Span:
    return _known(row.users, str(row.users))


def _uptime_cell(row: Row) -> Span:
    started = row.container.started_at if row.container.state == "running" else None
    return _known(started, units.duration((row.now - started).total_seconds()) if started else "")


def _known(value: object, text: str) -> Span:
    return Span(units.UNKNOWN, DIM) if value is None else Span(text)


_BAR = "MEMORY"
_COLUMNS = (
    Column("", _mark, right=False),
    Column("CONTAINER", lambda row: Span(row.name), right=False),
    Column("STATE", _state_cell, right=False),
    Column("RST", _restarts_cell, rank=2),
    Column("CPU", _cpu_cell, least=6),
    Column(_BAR, lambda _: Span(""), right=False, rank=3),
    Column("%", _memory_percent_cell, rank=1, least=4),
    Column("USED/LIMIT", _memory_cell, least=12),
    Column("NET RX/TX", _network_cell, rank=4, least=13),
    Column("BLOCK R/W", _block_cell, rank=8, least=13),
    Column("USERS", _users_cell, rank=6),
    Column("UP", _uptime_cell, rank=7, least=7),
    Column("PIDS", _pids_cell, rank=9),
)


def _draw(rows: Sequence[Row], width: int) -> list[Line]:
    cells: Mapping[str, list[Span]] = {column.title: [column.cell(row) for row in rows] for column in _COLUMNS}
    columns, widths = _layout(cells, width)
    gap = Span(" " * _gap(width))
    head = [[Span(pad(column.title, widths[column.title], right=column.right), TITLE)] for column in columns]
    lines = [head]
    for position, row in enumerate(rows):
        lines.append([_padded(column, widths, cells[column.title][position], row) for column in columns])
    return [_spaced(parts, gap) for parts in lines]


def _padded(column: Column, widths: Mapping[str, int], span: Span, row: Row) -> list[Span]:
    width = widths[column.title]
    if column.title == _BAR:
        return list(memory_bar(row.container, width))
    return [Span(pad(span.text, width, right=column.right), span.style)]


def _spaced(parts: Sequence[Sequence[Span]], gap: Span) -> Line:
    spans = [*parts[0], Span(" ")]
    for place, part in enumerate(parts[1:]):
        spans.extend([gap, *part] if place else part)
    return tuple(spans)


def _layout(cells: Mapping[str, list[Span]], width: int) -> tuple[list[Column], dict[str, int]]:
    """Choose the columns that fit, and their widths: what is left over makes the memory bar longer."""
    columns = list(_COLUMNS)
    widths = {
        column.title: max([width_of([span]) for span in cells[column.title]] + [len(column.title), column.least])
        for column in columns
    }
    widths[""] = 1
    widths[_BAR] = _LEAST_BAR
    gap = _gap(width)
    while (spare := width - _total(columns, widths, gap)) < 0:
        last = max(columns, key=lambda column: column.rank)
        if not last.rank:
            widths["CONTAINER"] = max(_LEAST_NAME, widths["CONTAINER"] + spare)
            break
        columns.remove(last)
    if any(column.title == _BAR for column in columns):
        widths[_BAR] = min(_MOST_BAR, _LEAST_BAR + max(0, spare))
    return columns, widths


def _gap(width: int) -> int:
    return _ROOMY_GAP if width >= _ROOMY_COLUMNS else _NARROW_GAP


def _total(columns: Sequence[Column], widths: Mapping[str, int], gap: int) -> int:
    gaps = (len(columns) - 2) * gap + 1  # the mark always stands close to the name
    return sum(widths[column.title] for column in columns) + gaps


def memory_bar(container: Container, width: int) -> Line:
    """Draw the working set against the limit; nothing where there is no limit to draw against."""
    percent = container.memory_percent
    if percent is None or not container.memory_limit_bytes:
        return line(" " * width)
    filled = max(0, min(width, round(percent / 100 * width)))
    style = _memory_style(container) or OK
    return line(Span("█" * filled, style), Span("░" * (width - filled), DIM))
