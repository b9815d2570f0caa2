"""Every screen of the live view: title, its own part, foot line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sidecar.common import units
from sidecar.model.incident import Incident
from sidecar.views import panels as locust_tables
from sidecar.views import top
from sidecar.views.frame import frame
from sidecar.views.incident_detail import detail, group_of
from sidecar.views.incident_groups import block, grouped, newest_error, short_name, summary
from sidecar.views.keys import KEYS, foot
from sidecar.views.lines import (
    BANNER,
    DIM,
    ERROR,
    OK,
    SELECTED,
    TITLE,
    Line,
    TextSpan,
    fit,
    hanging,
    heading,
    join_fitting,
    line,
    wrapped,
)
from sidecar.views.panels import whole
from sidecar.views.scene import ContainerLog, Drawing, Scene, ScreenName, ViewState

_ALARM = timedelta(seconds=30)  # how long screens without a ticker show a new failure
_HELP_LABEL = 12

_SIGNS = (
    ("✗", "broken: dead, restarting or unhealthy"),
    ("!", "check it: near its limit, throttled or starting"),
    ("RST", "restarts by Docker"),
    ("OOM", "OOM kills, as counted in the ledger"),
    ("OOM IN", "time until its memory is full, if it keeps growing"),
    ("THR", "share of time throttled by its CPU limit"),
    ("CPU", "100% is one core"),
    ("MEMORY %", "working set against the limit, as docker stats has it"),
)


def draw(scene: Scene, state: ViewState, *, width: int, height: int, aside: str = "") -> Drawing:
    """Draw the screen of the state, filled to the height. `aside` follows the keys in the foot line."""
    footer = _foot(scene, state, width, aside)
    if state.where is ScreenName.MAIN:
        main = frame(scene, width=width, height=height - 1, state=state)
        return Drawing(with_footer(main.lines, footer, width, height), main.page, main.reach)
    return _SCREENS[state.where](scene, state, width, height, footer)


def with_footer(lines: Sequence[Line], footer: Line, width: int, height: int) -> list[Line]:
    """Put a line at the bottom of a screen, below lines that leave room for it."""
    filling: list[Line] = [()] * (height - 1 - len(lines))
    return [*lines[: height - 1], *filling, fit(footer, width)]


def _foot(scene: Scene, state: ViewState, width: int, aside: str) -> Line:
    paused = [line(TextSpan(" PAUSED: p resumes ", BANNER))] if scene.paused else []
    keys = [line(TextSpan(key, TITLE), TextSpan(f" {word}", DIM)) for key, word in foot(state.where)]
    return join_fitting([*paused, *keys, *([line(TextSpan(aside, DIM))] if aside else [])], " · ", width)


class _Text:
    """A screen of text under a title, scrolled; `from_end` counts the scrolling from its last line."""

    def __init__(self, scene: Scene, state: ViewState, width: int, height: int, name: str) -> None:
        self.width, self.height, self.scroll = width, height, state.scroll
        self.head = [top.title(scene, width, name), *_problem(scene, width), *_alarm(scene, state, width)]

    def drawing(self, title: str, body: Sequence[Line], footer: Line, *, from_end: bool = False) -> Drawing:
        """Cut the body to what fits, and name the part in the heading."""
        room = max(1, self.height - len(self.head) - 2)
        reach = max(0, len(body) - room)
        scroll = min(self.scroll, reach)
        start = reach - scroll if from_end else scroll
        older = "End: newest lines" if scroll else "↑ for older"
        more = older if from_end else "↓ for more" if start < reach else ""
        part = f"lines {start + 1} to {min(len(body), start + room)} of {len(body)}  {more}" if reach else ""
        rule = heading(title, self.width, line(TextSpan(part, DIM)) if part else ())
        lines = [*self.head, rule, *body[start : start + room]]
        return Drawing(
            with_footer([fit(spans, self.width) for spans in lines], footer, self.width, self.height), room, reach
        )


def _problem(scene: Scene, width: int) -> Iterator[Line]:
    if scene.problem:
        yield from hanging(TextSpan("✗ ", ERROR), scene.problem, width, 2, ERROR)


def _alarm(scene: Scene, state: ViewState, width: int) -> Iterator[Line]:
    """Show a failure that has just happened, also while another screen is open."""
    if state.where is ScreenName.INCIDENTS:
        return
    group = newest_error(grouped(scene.snapshot), scene.as_of - _ALARM)
    is_open = state.where is ScreenName.INCIDENT and group is not None and group.root.id == state.incident
    if group is not None and not is_open:
        yield from block(group, scene.snapshot, width, scene.zone, 1)


def _help(scene: Scene, state: ViewState, width: int, height: int, footer: Line) -> Drawing:
    body: list[Line] = []
    for key in KEYS:
        body += hanging(TextSpan(f"{key.label:<{_HELP_LABEL}}", TITLE), key.does, width, 4)
    body += [(), line(TextSpan("What the marks and columns mean", TITLE))]
    for sign, text in _SIGNS:
        body += hanging(TextSpan(f"{sign:<{_HELP_LABEL}}", TITLE), text, width, 4)
    return _Text(scene, state, width, height, "help").drawing("Keys", body, footer)


def _log(scene: Scene, state: ViewState, width: int, height: int, footer: Line) -> Drawing:
    text = _Text(scene, state, width, height, "log")
    log = scene.log
    name = short_name(state.container or "", scene.snapshot)
    if log is None or log.container != state.container:
        return text.drawing(f"Log of {name}", [line(TextSpan("  loading …", DIM))], footer)
    body: list[Line] = list(whole(log.lines, width, scene.zone))
    if log.problem:
        body += [line(TextSpan(row, ERROR)) for row in wrapped(f"✗ {log.problem}", width, 3)]
    elif not log.lines:
        body = [line(TextSpan("  no log lines are stored", DIM))]
    return text.drawing(f"Log of {name}{_log_age(log, scene, state)}", body, footer, from_end=True)


def _log_age(log: ContainerLog, scene: Scene, state: ViewState) -> str:
    """Return when the lines were read and why they are old, if they are old."""
    reasons = ["PAUSED"] if scene.paused else []
    reasons += ["STALE"] if log.problem else []
    if not reasons and not state.scroll:
        return ""
    read_at = f" as of {units.clock(log.read_at, scene.zone)}" if log.read_at else ""
    return ", ".join([read_at, *reasons])


def _locust(scene: Scene, state: ViewState, width: int, height: int, footer: Line) -> Drawing:
    snapshot = scene.snapshot
    body: list[Line] = [*top.locust(snapshot, width)]
    remote = [worker for worker in snapshot.locust.workers if worker.remote] if snapshot.locust else []
    if remote:
        body += [(), heading("Remote workers", width), *locust_tables.remote_workers(remote)]
    if snapshot.failures:
        body += [(), heading("Failures", width), *locust_tables.failures(snapshot.failures, width, scene.zone)]
    else:
        body += [(), line(TextSpan("  no failures", OK if snapshot.locust else DIM))]
    if snapshot.endpoints:
        body += [(), heading("Endpoints", width), *locust_tables.endpoints(snapshot.endpoints)]
    suffix = top.age_suffix(scene)
    return _Text(scene, state, width, height, "Locust").drawing(f"Locust{suffix}", body, footer)


def _incidents(scene: Scene, state: ViewState, width: int, height: int, footer: Line) -> Drawing:
    """Draw all incidents of the Snapshot with a cursor, a page at a time, one line each."""
    groups = grouped(scene.snapshot)
    head = [top.title(scene, width, "incidents"), *_problem(scene, width)]
    room = max(1, height - len(head) - 2)
    place = next((number for number, group in enumerate(groups) if group.root.id == state.incident), 0)
    start = place // room * room
    body = []
    for number, group in enumerate(groups[start : start + room], start):
        (row,) = block(group, scene.snapshot, width - 2, scene.zone, 1)
        chosen = number == place
        body.append((TextSpan("▸ " if chosen else "  ", SELECTED if chosen else ""), *row))
    if not groups:
        body = [line(TextSpan("  no incidents", OK))]
    where = f"{start + 1} to {start + len(body)} of {len(groups)}" if len(groups) > room else ""
    counts = summary(groups, width - 30)
    rule = heading("Incidents", width, (*counts, TextSpan(f"  {where}", DIM)) if where else counts)
    lines = [fit(spans, width) for spans in (*head, rule, *body)]
    return Drawing(with_footer(lines, footer, width, height), room)


def _incident(scene: Scene, state: ViewState, width: int, height: int, footer: Line) -> Drawing:
    text = _Text(scene, state, width, height, "incident")
    incident = _shown_incident(scene, state)
    if incident is None:
        gone = f"this incident is no longer among the latest ones: scripts/kit incidents {state.incident}"
        return text.drawing("Incident", [line(row) for row in wrapped(gone, width, 3)], footer)
    body = detail(incident, scene.snapshot, width=width, zone=scene.zone, now=scene.as_of)
    return text.drawing("Incident", body, footer)


def _shown_incident(scene: Scene, state: ViewState) -> Incident | None:
    """Return the record with all its evidence, unless the Snapshot has a newer revision."""
    group = group_of(state.incident, scene.snapshot)
    everyone = (group.root, *group.consequences) if group else ()
    known = [
        incident for incident in (*everyone, scene.incident) if incident is not None and incident.id == state.incident
    ]
    return max(known, key=lambda incident: (incident.revision, len(incident.evidence)), default=None)


_SCREENS = {
    ScreenName.HELP: _help,
    ScreenName.LOG: _log,
    ScreenName.LOCUST: _locust,
    ScreenName.INCIDENTS: _incidents,
    ScreenName.INCIDENT: _incident,
}
