"""The top of the frame: title, run and verdict, blind spans, Locust, host. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sidecar.common import units
from sidecar.incidents.warnings import data_age_seconds
from sidecar.model.snapshot import Blind, Host, Locust, Node, Snapshot, VerdictSoFar
from sidecar.views.lines import (
    BANNER,
    DIM,
    ERROR,
    OK,
    TITLE,
    WARN,
    Line,
    TextSpan,
    fit,
    join_fitting,
    line,
    width_of,
    wrapped,
)
from sidecar.views.scene import Scene

_LABEL = 8
_GAPS = ("", "  ", " ")  # before the kit's name, the project's, and whatever follows
_HIGH_PERCENT = 90.0
_VERDICT_STYLES = {"PASS": OK, "FAIL": ERROR, "INVALID": ERROR}
_MOST_REASON_ROWS, _MOST_BLIND, _MOST_NODE_ROWS = 2, 2, 2
_BLIND_MATTERS = timedelta(hours=1)  # older gaps that were not made up for are hidden, unless a run reaches back


def title(scene: Scene, width: int, screen: str = "") -> Line:
    """Draw the title: the stack, and whether the view is live, which is never cut off."""
    names = [("Locust Kit", TITLE), (scene.snapshot.project, "")]
    if scene.snapshot.watched:
        names.append((f"+ {scene.snapshot.watched}", ""))
    if screen:
        names.append((f"· {screen}", ""))
    left: Line = tuple(TextSpan(f"{_GAPS[min(number, 2)]}{text}", style) for number, (text, style) in enumerate(names))
    full, short, word = (_state(scene, detail) for detail in (2, 1, 0))
    clock = line("  ", units.date_and_time(scene.now, scene.zone))
    rights = [(*full, *clock), (*short, *clock), full, short, word]
    right = next((right for right in rights if width_of(left) + 2 + width_of(right) <= width), word)
    left = fit(left, max(0, width - width_of(right) - 2))
    return (*left, TextSpan(" " * max(0, width - width_of(left) - width_of(right))), *right)


def _state(scene: Scene, detail: int) -> Line:
    """Return live, STALE or PAUSED; `detail` 2 in full, 1 with an age alone, 0 the word alone."""
    snapshot = scene.snapshot
    spans: list[TextSpan] = []
    if scene.paused:
        age = units.duration((scene.now - snapshot.at).total_seconds())
        spans += [TextSpan(" PAUSED ", BANNER), TextSpan(("", f" {age} ago", f" {age} ago, p resumes")[detail], ERROR)]
        if scene.missed:
            spans.append(TextSpan(f", {units.plural(scene.missed, 'new incident')} since!", ERROR))
    if snapshot.stale:
        seconds = data_age_seconds(snapshot, scene.now)
        old = " no data yet" if seconds is None else f" data from {units.duration(seconds)} ago"
        spans += [TextSpan(" STALE ", BANNER), TextSpan(old if detail else "", ERROR)]
    return tuple(spans) or line(TextSpan("● live", OK))


def run(scene: Scene, width: int) -> Iterator[Line]:
    """Draw the run and its verdict so far, with the most serious reasons."""
    snapshot, moment = scene.snapshot, scene.as_of
    current, verdict = snapshot.run, snapshot.verdict
    if current is None and verdict is None:
        return
    parts = []
    running = current is not None and current.state == "running"
    if verdict is not None:
        style = _VERDICT_STYLES.get(verdict.word, WARN)
        parts.append(line(TextSpan(verdict.word, style), " so far" if running else ""))
    if current is not None:
        word = "since" if running else "started"  # the shown time of an ended run is its start
        since = f" {word} {units.clock(current.started_at, scene.zone)}" if current.started_at else ""
        spent = (moment - current.started_at).total_seconds() if current.started_at else 0.0
        length = f" ({units.duration(spent)})" if running and current.started_at else ""
        when, name = line(f"{current.state}{since}{length}"), line(current.run_id)
        parts += [when, name] if verdict is not None else [name, when]
    yield (_label("Run"), *join_fitting(parts, "  ", width - _LABEL))
    if verdict is not None:
        yield from _reasons(verdict, width)


def _reasons(verdict: VerdictSoFar, width: int) -> Iterator[Line]:
    if not verdict.reasons:
        return
    passed = verdict.word == "PASS"
    more = f"  (and {len(verdict.reasons) - 1} more)" if len(verdict.reasons) > 1 else ""
    rows = wrapped(verdict.reasons[0] + more, width - _LABEL - (0 if passed else 2), 1 if passed else _MOST_REASON_ROWS)
    for number, row in enumerate(rows):
        mark = "" if passed else "  " if number else "✗ "
        yield line(" " * _LABEL, TextSpan(mark, ERROR), TextSpan(row, DIM if passed else ""))


def blind(scene: Scene, width: int) -> Iterator[Line]:
    """Draw the blind spans: ongoing ones first, then those that were not made up for."""
    spans = _blind_that_matter(scene.snapshot, scene.as_of)
    for number, span in enumerate(spans[:_MOST_BLIND]):
        # The text has the start and the end. The length of an ongoing span is added here.
        lasts = units.duration((scene.as_of - span.since).total_seconds())
        now = f"NOW, for {lasts}: " if span.until is None else ""
        rest = len(spans) - _MOST_BLIND
        more = f" (and {rest} more)" if rest > 0 and number == _MOST_BLIND - 1 else ""
        style = ERROR if span.until is None else WARN
        rows = wrapped(f"{now}{span.text}{more}", width - _LABEL - 2, 2)
        for place, row in enumerate(rows):
            label = _label("Blind") if not number and not place else TextSpan(" " * _LABEL)
            yield line(label, TextSpan("  " if place else "! ", style), TextSpan(row, style if not place else ""))


def _blind_that_matter(snapshot: Snapshot, moment: datetime) -> list[Blind]:
    since = moment - _BLIND_MATTERS
    if snapshot.run is not None and snapshot.run.state == "running" and snapshot.run.started_at:
        since = min(since, snapshot.run.started_at)
    kept = [span for span in snapshot.blind if span.until is None or (not span.covered and span.until >= since)]
    return sorted(kept, key=lambda span: (span.until is not None, -span.since.timestamp()))


def locust(snapshot: Snapshot, width: int) -> Iterator[Line]:
    """Draw the master's figures, or why they are missing."""
    figures = snapshot.locust
    if figures is None:
        yield line(_label("Locust"), TextSpan(f"no data: {snapshot.locust_error or 'not read yet'}", WARN))
    else:
        yield (_label("Locust"), *join_fitting(_locust_parts(figures), "  ", width - _LABEL))


def _locust_parts(figures: Locust) -> list[Line]:
    failing = figures.fail_ratio > 0
    short = figures.workers_here < figures.workers_expected
    others = f" + {figures.workers_remote} remote" if figures.workers_remote else ""
    workers = f"workers {figures.workers_here}/{figures.workers_expected}{'!' if short else ''}{others}"
    active = is_active(figures)
    # After a run the master still answers with the run's last figures. They must not look current.
    past = [] if active or figures.p95_ms is None else [line(TextSpan("last run:", DIM))]
    return [
        line(TextSpan(figures.state, OK if active else "")),
        line(TextSpan(workers, WARN if short else "")),
        line(f"users {units.count(figures.users)}"),
        *past,
        line(f"{units.count(figures.rps)} req/s"),
        line(TextSpan(f"failed {units.percent(figures.fail_ratio * 100, 2)}", ERROR if failing else "")),
        line(f"p95 {units.milliseconds(figures.p95_ms)}"),
        line(f"p50 {units.milliseconds(figures.p50_ms)}"),
        line(f"{units.count(figures.fail_per_second)} failures/s"),
    ]


def is_active(figures: Locust) -> bool:
    """Return whether a run is active, so that the master's rates are current."""
    return figures.state in {"spawning", "running", "cleanup", "stopping"}


def host(figures: Host | None, width: int) -> Iterator[Line]:
    """Draw the machine's figures on one line, or two if one is too short."""
    label = _label("Host")
    if figures is None:
        yield line(label, TextSpan("the host's figures could not be read", WARN))
        return
    parts = [
        line("cpu ", _level(figures.cpu_percent), f" of {figures.cpu_count} cores"),
        line(f"load {figures.load_1m:.2f}"),
        line(
            "memory ",
            _level(figures.memory_percent),
            f" {units.memory(figures.memory_used_bytes, 3)}/{units.memory(figures.memory_total_bytes, 3)}",
        ),
        line("disk ", _level(figures.disk_used_percent), " used"),
    ]
    traffic = [
        line(
            f"disk read {units.rate(figures.disk_read_bytes_per_second)}"
            f" write {units.rate(figures.disk_write_bytes_per_second)}"
        ),
        line(
            f"net in {units.rate(figures.network_rx_bytes_per_second)}"
            f" out {units.rate(figures.network_tx_bytes_per_second)}"
        ),
    ]
    whole = join_fitting([*parts, *traffic], "  ", 10_000)
    if width_of(whole) <= width - _LABEL:
        yield (label, *whole)
        return
    yield (label, *join_fitting(parts, "  ", width - _LABEL))
    yield (TextSpan(" " * _LABEL), *join_fitting(traffic, "  ", width - _LABEL))


def nodes(members: Sequence[Node], width: int) -> Iterator[Line]:
    """Draw the machines of a cluster: how many answer, then each one, problems first; on at most two lines."""
    silent = [node for node in members if not node.answers]
    count = (
        units.plural(len(members), "node")
        if not silent
        else f"{len(members) - len(silent)} of {len(members)} nodes answer"
    )
    parts = [line(TextSpan(count, WARN if silent else "")), *map(_node, sorted(members, key=_worst_first))]
    rows: list[list[Line]] = [[]]
    used = 0
    for part in parts:
        if rows[-1] and used + 2 + width_of(part) > width - _LABEL:
            rows.append([])
            used = 0
        rows[-1].append(part)
        used += 2 + width_of(part)
    for number, row in enumerate(rows[:_MOST_NODE_ROWS]):
        more = sum(map(len, rows[_MOST_NODE_ROWS:])) if number == _MOST_NODE_ROWS - 1 else 0
        kept = [*row[: -1 if more else None], *([line(TextSpan(f"… {more + 1} more", DIM))] if more else [])]
        label = TextSpan(" " * _LABEL) if number else _label("Nodes")
        yield (label, *join_fitting(kept, "  ", width - _LABEL))


def _worst_first(node: Node) -> tuple[bool, bool, bool, str]:
    return node.answers, not node.master_error, not node.leads, node.name


def _node(node: Node) -> Line:
    if not node.answers:
        return line(TextSpan(f"✗ {node.name} does not answer", ERROR))
    if node.master_error:
        return line(TextSpan(f"✗ {node.name} cannot reach the master", ERROR))
    figures = node.host
    used = line(" cpu ", _level(figures.cpu_percent), " memory ", _level(figures.memory_percent)) if figures else line()
    return (*line(TextSpan("● ", OK), node.name, " (master)" if node.leads else ""), *used)


def health(snapshot: Snapshot, width: int) -> Iterator[Line]:
    """Draw the health checks on one line, failed ones first with their reason; no line without checks."""
    if not snapshot.health:
        return
    down = [endpoint for endpoint in snapshot.health if not endpoint.passed]
    parts = [line(TextSpan(f"✗ {endpoint.name}: {endpoint.error}", ERROR)) for endpoint in down]
    parts += [
        line(TextSpan("● ", OK), f"{endpoint.name} {units.milliseconds(endpoint.response_ms)}")
        for endpoint in snapshot.health
        if endpoint.passed
    ]
    yield (_label("Health"), *join_fitting(parts, "  ", width - _LABEL))


def _level(percent: float | None) -> TextSpan:
    high = percent is not None and percent >= _HIGH_PERCENT
    return TextSpan(f"{units.percent(percent)}{'!' if high else ''}", WARN if high else "")


def _label(text: str) -> TextSpan:
    return TextSpan(text.ljust(_LABEL), TITLE)


def age_suffix(scene: Scene) -> str:
    """Return the age of old figures, for a heading."""
    snapshot, zone = scene.snapshot, scene.zone
    said = []
    if snapshot.stale and snapshot.engine_read_at is not None:
        said.append(f"as of {units.clock(snapshot.engine_read_at, zone)}, STALE")
    if scene.paused:
        said.append("PAUSED" if said else f"as of {units.clock(snapshot.at, zone)}, PAUSED")
    return f" {', '.join(said)}" if said else ""
