"""The columns of the container table, as data: heading, cell, and when each is dropped. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sidecar.common import units
from sidecar.incidents.warnings import THROTTLED_PERCENT
from sidecar.model.incident import ExitReason
from sidecar.model.snapshot import Container
from sidecar.views.lines import DIM, ERROR, OK, SELECTED, WARN, Line, TextSpan, line
from sidecar.views.order import badness, is_high

BAR = "MEMORY"
NAME = "CONTAINER"
_MARKS = (TextSpan(" "), TextSpan("!", WARN), TextSpan("✗", ERROR))  # by badness
_SOON_SECONDS = 600.0
_ENDS = {
    ExitReason.OOM: "OOM-killed",
    ExitReason.STOPPED: "stopped",
    ExitReason.KILLED: "killed",
    ExitReason.LOST_MASTER: "no master",
    ExitReason.FINISHED: "finished",
    ExitReason.UNSEEN: "ended",
}


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A row: the container, and values from elsewhere."""

    container: Container
    name: str
    users: int | None
    now: datetime
    roomy: bool
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, how it reads a row, and how early a narrow screen drops it.

    The column with the highest `rank` is dropped first; rank 0 always stays. A `quiet` column without a value in any
    row is dropped before all others. `least` keeps the width constant while numbers change. `most` keeps a text column
    from pushing out the others.
    """

    title: str
    cell: Callable[[ContainerRow], TextSpan]
    right: bool = True
    rank: int = 0
    least: int = 0
    most: int | None = None
    quiet: Callable[[ContainerRow], bool] | None = None


def state_of(container: Container) -> tuple[str, str]:
    """Return a container's state in a word or two, and its style."""
    if container.state in {"exited", "dead"}:
        return _ended(container), ERROR if badness(container) > 1 else WARN
    if container.state == "restarting":
        return "restarting", ERROR
    if container.state != "running":
        return container.state, WARN
    style = {"healthy": OK, "unhealthy": ERROR, "starting": WARN}.get(container.health or "", "")
    return container.health or "running", style


def _ended(container: Container) -> str:
    code = "" if container.exit_code is None else f" {container.exit_code}"
    known = _ENDS.get(container.exit_reason or "")  # type: ignore[call-overload]  # a StrEnum is found by its text
    return known or f"{container.state}{code}"


def memory_bar(container: Container, width: int) -> Line:
    """Draw the working set against the limit; nothing without a limit."""
    percent = container.memory_percent
    if percent is None or not container.memory_limit_bytes:
        return line(" " * width)
    filled = max(0, min(width, round(percent / 100 * width)))
    return line(TextSpan("█" * filled, _memory_style(container) or OK), TextSpan("░" * (width - filled), DIM))


def _node(row: ContainerRow) -> TextSpan:
    return TextSpan(row.container.node or units.UNKNOWN)


def _count(value: int | None, style: str) -> TextSpan:
    return TextSpan(units.UNKNOWN, DIM) if value is None else TextSpan(str(value), style if value else DIM)


def _eta(row: ContainerRow) -> TextSpan:
    seconds = row.container.oom_eta_seconds
    if seconds is None:
        return TextSpan(units.UNKNOWN, DIM)
    return TextSpan(units.duration(seconds), ERROR if seconds < _SOON_SECONDS else WARN)


def _cpu(row: ContainerRow) -> TextSpan:
    return _known(row.container.cpu_percent, units.percent(row.container.cpu_percent, 2 if row.roomy else 1))


def _throttled(row: ContainerRow) -> TextSpan:
    value = row.container.throttled_percent
    return TextSpan(units.percent(value), DIM if not value else WARN if value >= THROTTLED_PERCENT else "")


def _memory_style(container: Container) -> str:
    return WARN if is_high(container) else ""


def _memory_percent(row: ContainerRow) -> TextSpan:
    value = row.container.memory_percent
    text = units.percent(value, 2 if row.roomy else 0)
    return TextSpan(text, _memory_style(row.container)) if value is not None else TextSpan(text, DIM)


def _memory(row: ContainerRow) -> TextSpan:
    used, limit = row.container.memory_working_set_bytes, row.container.memory_limit_bytes
    digits = 4 if row.roomy else 3
    if used is None:
        return TextSpan(units.UNKNOWN, DIM)
    ceiling = units.memory(limit, digits) if limit else "no limit"
    return TextSpan(f"{units.memory(used, digits)}{_slash(row)}{ceiling}", _memory_style(row.container))


def _slash(row: ContainerRow) -> str:
    return " / " if row.roomy else "/"


def _pair(*fields: str) -> Callable[[ContainerRow], TextSpan]:
    """Make the cell of two amounts of traffic."""

    def cell(row: ContainerRow) -> TextSpan:
        amounts = [getattr(row.container, field) for field in fields]
        return (
            TextSpan(units.UNKNOWN, DIM) if None in amounts else TextSpan(_slash(row).join(map(units.traffic, amounts)))
        )

    return cell


def _uptime(row: ContainerRow) -> TextSpan:
    started = row.container.started_at if row.container.state == "running" else None
    return _known(started, units.duration((row.now - started).total_seconds()) if started else "")


def _known(value: object, text: str) -> TextSpan:
    return TextSpan(units.UNKNOWN, DIM) if value is None else TextSpan(text)


COLUMNS = (
    Column("", lambda row: _MARKS[badness(row.container)], right=False),
    Column(NAME, lambda row: TextSpan(row.name, SELECTED if row.selected else ""), right=False),
    Column("NODE", _node, right=False, rank=3, most=12, quiet=lambda row: row.container.node is None),
    Column("STATE", lambda row: TextSpan(*state_of(row.container)), right=False, most=12),
    Column("RST", lambda row: _count(row.container.restarts, WARN), rank=2),
    Column("OOM", lambda row: _count(row.container.oom_kills, ERROR), rank=2),
    Column("OOM IN", _eta, rank=1, quiet=lambda row: row.container.oom_eta_seconds is None),
    Column("CPU", _cpu, least=6),
    Column("THR", _throttled, rank=3, least=3, quiet=lambda row: not row.container.throttled_percent),
    Column(BAR, lambda _: TextSpan(""), right=False, rank=4),
    Column("%", _memory_percent, least=4),
    Column("USED/LIMIT", _memory, rank=1, least=12),
    Column("NET RX/TX", _pair("network_rx_bytes", "network_tx_bytes"), rank=5, least=13),
    Column("BLOCK R/W", _pair("block_read_bytes", "block_write_bytes"), rank=8, least=13),
    Column("USERS", lambda row: _known(row.users, str(row.users)), rank=6),
    Column("UP", _uptime, rank=7, least=7),
    Column("PIDS", lambda row: _known(row.container.pids, str(row.container.pids)), rank=9),
)
