"""The main screen: top, warnings, incidents, containers, failures and endpoints if there is room, log. Pure.

Terminal and pipe use the same frame. Without a height, nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from sidecar.common.units import plural
from sidecar.model.incident import IncidentKind
from sidecar.model.snapshot import Container, Snapshot, Warn
from sidecar.views import panels as locust_tables
from sidecar.views import top
from sidecar.views.incident_groups import IncidentGroup, current, grouped, summary, ticker
from sidecar.views.lines import (
    DIM,
    ERROR,
    OK,
    TITLE,
    WARN,
    Line,
    TextSpan,
    fit,
    hanging,
    heading,
    join_fitting,
    line,
    shortened,
    width_of,
)
from sidecar.views.order import SORTS_BY_KEY, WORST, ordered
from sidecar.views.panels import tail
from sidecar.views.scene import Drawing, Scene, ViewState
from sidecar.views.table import Look, TableGroup, tables

_BROKEN_STATES = {"exited": "exited", "dead": "exited", "restarting": "restarting"}
_MOST_WARNING_ROWS = 4
_MOST_OF_LOCUST = 12  # rows of failures or endpoints where the height has no end
_LEAST_OF_LOCUST = 4  # heading, head line, and two rows: less is not worth the room


def frame(scene: Scene, *, width: int, height: int | None, state: ViewState | None = None) -> Drawing:
    """Draw the main screen, at most `width` cells wide and `height` lines high (None: as many as it takes)."""
    return _Frame(scene, width, height, state or ViewState()).drawing()


class _Frame:
    """One drawing of the main screen: its parts, and how they share the height."""

    def __init__(self, scene: Scene, width: int, height: int | None, state: ViewState) -> None:
        self.scene, self.snapshot, self.state = scene, scene.snapshot, state
        self.width, self.height = width, height
        self.own, self.watched = ordered(scene.snapshot, state.sort, reverse=state.reverse)
        self.groups = _without_known_blindness(current(grouped(scene.snapshot), scene.as_of), scene.snapshot)
        self.ticker = ticker(self.groups, scene.snapshot, width=width, most=height, zone=scene.zone)
        self.alerts = ([Warn("error", scene.problem)] if scene.problem else []) + list(scene.snapshot.warnings)
        self.suffix = top.age_suffix(scene)
        self.head = self._head()

    def drawing(self) -> Drawing:
        """Put the parts together."""
        host = list(
            top.nodes(self.snapshot.nodes, self.width)
            if len(self.snapshot.nodes) > 1
            else top.host(self.snapshot.host, self.width)
        )
        warnings = [_warning(alert, self.width) for alert in self.alerts]
        shares = Shares(
            traffic=len(host) - 1,
            warnings=sum(map(len, warnings)),
            ticker=self.ticker.wanted,
            rows=max(1, len(self.own)),
            watched=max(1, len(self.watched)) if self.snapshot.watched else 0,
            logs=len(self.snapshot.logs),
        )
        wanted = replace(shares)
        if self.height is not None:
            shares.shrink_to(self.height - len(self.head) - 1 - self._headings(), self.height)
        alerts = list(self._alerts(warnings, shares))
        if self.height is not None:
            used = len(alerts) - (1 if self.is_calm else 2)
            shares.refund(shares.warnings + shares.ticker - used, wanted)
        lines = [*self.head, *host[: 1 + shares.traffic], *alerts]
        lines += self._containers(shares)
        log = self._log(shares.logs)
        lines += self._of_locust(None if self.height is None else self.height - len(lines) - len(log))
        lines += log
        if self.snapshot.stale:
            lines = [lines[0], *(_dimmed(spans) for spans in lines[1:])]
        return Drawing([fit(spans, self.width) for spans in lines[: self.height]], page=max(1, shares.rows - 1))

    @property
    def is_calm(self) -> bool:
        """Whether there is no warning, no incident and no blind span."""
        return not (self.alerts or self.groups or self.snapshot.stale or any(top.blind(self.scene, self.width)))

    def _head(self) -> list[Line]:
        return [
            top.title(self.scene, self.width),
            *top.run(self.scene, self.width),
            *top.blind(self.scene, self.width),
            *top.locust(self.snapshot, self.width),
            *top.health(self.snapshot, self.width),
        ]

    def _headings(self) -> int:
        """Count the lines that are always there: headings, and the head line of the table."""
        alerts = 1 if self.is_calm else 2
        return alerts + 2 + (1 if self.snapshot.watched else 0) + (1 if self.snapshot.logs else 0)

    def _alerts(self, warnings: Sequence[list[Line]], shares: Shares) -> Iterator[Line]:
        if self.is_calm:
            yield heading(f"All is well{self.suffix}", self.width, line(TextSpan("no warnings, no incidents", OK)))
            return
        yield heading("Warnings", self.width, _warnings_summary(self.alerts))
        yield from _as_many_as_fit(warnings, shares.warnings)
        yield heading("Incidents", self.width, summary(self.groups, self.width - 16))
        room = None if self.height is None else shares.ticker
        if self.groups:
            yield from self.ticker.lines(room)

    def _containers(self, shares: Shares) -> Iterator[Line]:
        rows, watched_rows = (None, None) if self.height is None else (shares.rows, shares.watched)
        look = Look(
            self.snapshot.locust,
            self.scene.read_at,
            self.width,
            self.state.container,
            self.state.sort,
            self.state.reverse,
        )
        head, (own, watched) = tables([TableGroup(self.own, rows), TableGroup(self.watched, watched_rows)], look)
        yield self._containers_heading("Containers", self.own)
        yield from [head, *own] if self.own else [line("  no containers")]
        if self.snapshot.watched:
            yield self._containers_heading(f"Watched: {self.snapshot.watched}", self.watched)
            yield from [*([] if self.own else [head]), *watched] if self.watched else [line("  no containers")]

    def _containers_heading(self, title: str, containers: Sequence[Container]) -> Line:
        named = title + self.suffix + self._sorted_by()
        return heading(named, self.width, _states(containers, self.width - width_of([TextSpan(named)]) - 8))

    def _sorted_by(self) -> str:
        sort = SORTS_BY_KEY.get(self.state.sort)
        if sort is None or (sort.key == WORST and not self.state.reverse):
            return ""
        if sort.key == WORST:
            return " · best first"
        return f" · by {sort.key} {'▼' if sort.falling != self.state.reverse else '▲'}"

    def _of_locust(self, room: int | None) -> Iterator[Line]:
        """Draw failures, then endpoints, in the remaining room."""
        left = 2 * (_MOST_OF_LOCUST + 2) if room is None else room
        failures, endpoints = self.snapshot.failures, self.snapshot.endpoints
        parts = (
            ("Failures", failures, locust_tables.failures(failures, self.width, self.scene.zone)),
            ("Endpoints", endpoints, locust_tables.endpoints(endpoints)),
        )
        for name, rows, lines in parts:
            if not rows or left < min(_LEAST_OF_LOCUST, len(rows) + 2):
                continue
            yield heading(f"{name}{self.suffix}", self.width)
            shown = list(islice(lines, min(left, _MOST_OF_LOCUST + 2) - 1))
            left -= 1 + len(shown)
            yield from shown

    def _log(self, room: int) -> list[Line]:
        logs = self.snapshot.logs
        if not logs or not room:
            return []
        return [heading(f"Log of {logs[0].service}{self.suffix}", self.width), *tail(logs, room, self.scene.zone)]


def _without_known_blindness(groups: Sequence[IncidentGroup], snapshot: Snapshot) -> list[IncidentGroup]:
    """Leave out the incidents of blind spans, which have their own line at the top."""
    said = {span.since for span in snapshot.blind if span.until is None or not span.covered}
    return [group for group in groups if group.root.kind is not IncidentKind.BLIND or group.root.at not in said]


def _warnings_summary(alerts: Sequence[Warn]) -> Line:
    if not alerts:
        return line(TextSpan("none", OK))
    errors = sum(1 for alert in alerts if alert.severity == "error")
    parts = [(errors, "error", ERROR), (len(alerts) - errors, "warning", WARN)]
    spans = [TextSpan(plural(number, word), style) for number, word, style in parts if number]
    return join_fitting([(span,) for span in spans], ", ", 40)


def _warning(alert: Warn, width: int) -> list[Line]:
    """Draw a warning on one or more lines: the most important text is wrapped, never cut."""
    mark, style = ("✗ ", ERROR) if alert.severity == "error" else ("! ", WARN)
    return list(hanging(TextSpan(mark, style), alert.text, width, _MOST_WARNING_ROWS, style))


def _as_many_as_fit(blocks: Sequence[list[Line]], room: int) -> Iterator[Line]:
    """Yield whole blocks, and say how many were left out."""
    total = sum(len(block) for block in blocks)
    left = room if total <= room else max(1, room - 1)  # one line of a warning is more useful than a count
    for number, block in enumerate(blocks):
        if left <= 0 and room > 1:
            yield line(TextSpan(f"  … {len(blocks) - number} more", DIM))
        if left <= 0:
            return
        yield from shortened(block, left)
        left -= len(block)


def _states(containers: Sequence[Container], width: int) -> Line:
    """Count containers for the heading: problems first, then healthy ones."""
    wrong: dict[tuple[str, str], int] = {}
    for container in containers:
        problem = _BROKEN_STATES.get(container.state) or ("unhealthy" if container.health == "unhealthy" else "")
        if problem:
            wrong[container.service, problem] = wrong.get((container.service, problem), 0) + 1
    parts = [line(TextSpan(f"{number} {service} {word}", ERROR)) for (service, word), number in sorted(wrong.items())]
    kills = sum(container.oom_kills or 0 for container in containers)
    if kills:
        parts.append(line(TextSpan(plural(kills, "OOM kill"), ERROR)))
    running = [container for container in containers if container.state == "running"]
    healthy = sum(container.health == "healthy" for container in running)
    parts.append(line(f"{len(running)} running"))
    if healthy:
        parts.append(line(f"{healthy} healthy"))
    return join_fitting(parts, ", ", width)


def _dimmed(spans: Line) -> Line:
    """Grey out a line, so that old figures do not look current. Warnings keep their style."""
    return tuple(span if span.style in {WARN, ERROR, TITLE} else TextSpan(span.text, DIM) for span in spans)


_LOG_SHARE = 8  # the log keeps at least an eighth of the screen
_HALF, _THIRD, _FIFTH = 2, 3, 5
_FEWEST_WARNINGS, _FEWEST_TICKER, _FEWEST_ROWS = 2, 3, 3


@dataclass(slots=True)
class Shares:
    """The lines that each part needs, without headings. `shrink_to` takes lines where that harms least."""

    traffic: int  # the host's second line
    warnings: int
    ticker: int
    rows: int
    watched: int
    logs: int

    @property
    def total(self) -> int:
        """All of them together."""
        return self.traffic + self.warnings + self.ticker + self.rows + self.watched + self.logs

    def refund(self, spare: int, wanted: Shares) -> None:
        """Give unused lines to the containers, then to the log, as far as they need them."""
        for name in ("rows", "watched", "logs"):
            size: int = getattr(self, name)
            more = max(0, min(spare, getattr(wanted, name) - size))
            setattr(self, name, size + more)
            spare -= more

    def shrink_to(self, room: int, height: int) -> None:
        """Drop lines until `room` is enough: those of the log first, those of failures last."""
        for name, least in (
            ("logs", height // _LOG_SHARE),
            ("warnings", max(_FEWEST_WARNINGS, room // _FIFTH)),
            ("ticker", max(_FEWEST_TICKER, room // _THIRD)),
            ("rows", max(_FEWEST_ROWS, room // _HALF)),
            ("traffic", 0),
            ("watched", _FEWEST_ROWS),
            ("rows", _FEWEST_ROWS),
            ("warnings", 1),
            ("ticker", 2),
            ("logs", 0),
            ("watched", 1),
            ("ticker", 1),
            ("rows", 1),
        ):
            missing = self.total - room
            size: int = getattr(self, name)
            setattr(self, name, size - max(0, min(missing, size - least)))
