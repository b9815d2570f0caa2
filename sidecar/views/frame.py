"""The whole frame: title, host, Locust, warnings, containers, log. Pure.

One frame serves terminal and pipe; without a height nothing is folded away.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo

from sidecar.model.snapshot import Host, Locust, LogLine, Snapshot, Warn
from sidecar.model.text import clean
from sidecar.rules.freshness import data_age_seconds
from sidecar.views import units
from sidecar.views.lines import BANNER, DIM, ERROR, OK, TITLE, WARN, Line, Span, fit, heading, join_fitting, line
from sidecar.views.table import table

_LABEL = 8
_FEWEST_ROWS, _FEWEST_WARNINGS = 4, 3
_LOG_SHARE = 8  # the log keeps at least an eighth of the screen
_HIGH_PERCENT = 90.0
_LEAST_WRAP = 20

# Locust's own log format: `[date time] host/LEVEL/logger: text`; time and host are known already.
_LOCUST_LOG = re.compile(r"^\[[^\]]+\] [^/\s]+/([A-Z]+)/([\w.]+): (.*)$")
_LOG_STYLES = {"WARNING": WARN, "ERROR": ERROR, "CRITICAL": ERROR}


def frame(
    snapshot: Snapshot, *, now: datetime, width: int, height: int | None, zone: tzinfo | None, trouble: str = ""
) -> list[Line]:
    """Draw one frame, at most `width` cells wide and `height` lines high (None: as many as it takes).

    Args:
        snapshot: what to show; when it is stale, title and headings say so, with its age.
        now: the moment of drawing, for the title, ages and uptimes.
        width: terminal columns.
        height: terminal lines.
        zone: the zone for times (None: the machine's own).
        trouble: why there is no newer snapshot, when the view itself could not get one.
    """
    top = [_title(snapshot, now, zone, width), *_host(snapshot.host, width), *_locust(snapshot, now, zone, width)]
    alerts = ([Warn("error", trouble)] if trouble else []) + list(snapshot.warnings)
    warnings = _warnings(alerts, width)
    shares = _Shares(height, len(top), sum(map(len, warnings)), len(snapshot.containers), len(snapshot.logs))
    suffix = _stale_suffix(snapshot, now, zone)
    read_at = (snapshot.engine_read_at or now) if snapshot.stale else now
    lines = [
        *top,
        heading("Warnings", width, _warnings_summary(alerts)),
        *_as_many_as_fit(warnings, shares.warnings),
        heading("Containers" + suffix, width, _services(snapshot, width - 20 - len(suffix))),
        *table(snapshot.containers, snapshot.locust, now=read_at, width=width, rows=shares.rows),
    ]
    if snapshot.logs:
        lines += [
            heading(f"Log of {snapshot.logs[0].service}{suffix}", width),
            *_logs(snapshot.logs, shares.logs, zone),
        ]
    if snapshot.stale:
        lines = [lines[0], *(_dimmed(one) for one in lines[1:])]
    return [fit(one, width) for one in lines[:height]]


def with_footer(lines: Sequence[Line], footer: Line, width: int, height: int) -> list[Line]:
    """Put a line at the very bottom of a screen, below a frame that leaves room for it."""
    filling: list[Line] = [()] * (height - 1 - len(lines))
    return [*lines[: height - 1], *filling, fit(footer, width)]


class _Shares:
    """Who gets how many lines when not all fit: warnings up to a third, then the table, then the log."""

    def __init__(self, height: int | None, top: int, warnings: int, containers: int, logs: int) -> None:
        self.warnings, self.rows, self.logs = max(1, warnings), containers + 1, logs
        if height is None:
            return
        room = height - top - 2 - (1 if logs else 0)
        missing = self.warnings + self.rows + self.logs - room
        missing -= self._shrink("logs", height // _LOG_SHARE, missing)
        missing -= self._shrink("warnings", max(_FEWEST_WARNINGS, room // 3), missing)
        missing -= self._shrink("rows", _FEWEST_ROWS, missing)
        missing -= self._shrink("warnings", 1, missing)
        self._shrink("logs", 0, missing)

    def _shrink(self, name: str, least: int, missing: int) -> int:
        size: int = getattr(self, name)
        taken = max(0, min(missing, size - least))
        setattr(self, name, size - taken)
        return taken


def _title(snapshot: Snapshot, now: datetime, zone: tzinfo | None, width: int) -> Line:
    left = line(Span("Locust Kit", TITLE), "  ", Span(snapshot.project))
    state = Span(" STALE ", BANNER) if snapshot.stale else Span("● live", OK)
    age = data_age_seconds(snapshot, now)
    old = f" data from {units.duration(age)} ago" if age is not None else " no data yet"
    right = line(state, *([Span(old, ERROR)] if snapshot.stale else []), "  ", units.date_and_time(now, zone))
    used = sum(len(span.text) for span in (*left, *right))
    return (*left, Span(" " * max(2, width - used)), *right)


def _host(host: Host | None, width: int) -> Iterator[Line]:
    label = Span("Host".ljust(_LABEL), TITLE)
    if host is None:
        yield line(label, Span("its figures could not be read", WARN))
        return
    parts = [
        line("cpu ", _level(host.cpu_percent), f" of {host.cpu_count} cores"),
        line(f"load {host.load_1m:.2f}"),
        line(
            "memory ",
            _level(host.memory_percent),
            f" {units.memory(host.memory_used_bytes, 3)}/{units.memory(host.memory_total_bytes, 3)}",
        ),
        line("disk ", _level(host.disk_used_percent), " full"),
    ]
    traffic = [
        line(
            f"disk read {units.rate(host.disk_read_bytes_per_second)}"
            f" write {units.rate(host.disk_write_bytes_per_second)}"
        ),
        line(
            f"net in {units.rate(host.network_rx_bytes_per_second)} out {units.rate(host.network_tx_bytes_per_second)}"
        ),
    ]
    whole = join_fitting([*parts, *traffic], "  ", width - _LABEL)
    if len(whole) == len(join_fitting([*parts, *traffic], "  ", 10_000)):
        yield (label, *whole)
        return
    yield (label, *join_fitting(parts, "  ", width - _LABEL))
    yield (Span(" " * _LABEL), *join_fitting(traffic, "  ", width - _LABEL))


def _level(percent: float | None) -> Span:
    high = percent is not None and percent >= _HIGH_PERCENT
    return Span(f"{units.percent(percent)}{'!' if high else ''}", WARN if high else "")


def _locust(snapshot: Snapshot, now: datetime, zone: tzinfo | None, width: int) -> Iterator[Line]:
    label = Span("Locust".ljust(_LABEL), TITLE)
    locust = snapshot.locust
    if locust is None:
        yield line(label, Span(f"no figures: {snapshot.locust_error or 'not asked yet'}", WARN))
    else:
        yield (label, *join_fitting(_locust_parts(locust), "  ", width - _LABEL))
    if snapshot.run is not None:
        run = snapshot.run
        running = run.state == "running" and run.started_at is not None
        since = f" since {units.clock(run.started_at, zone)}" if run.started_at else ""
        length = f" ({units.duration((now - run.started_at).total_seconds())})" if running and run.started_at else ""
        yield line(Span("Run".ljust(_LABEL), TITLE), f"{run.run_id}  {run.state}{since}{length}")


def _locust_parts(locust: Locust) -> list[Line]:
    failing = locust.fail_ratio > 0
    short = locust.workers_connected < locust.workers_expected
    workers = f"workers {locust.workers_connected}/{locust.workers_expected}{'!' if short else ''}"
    active = is_active(locust)
    # After a run the master goes on answering with the run's last figures: they must not pass for the present.
    past = [] if active or locust.p95_ms is None else [line(Span("last run:", DIM))]
    return [
        line(Span(locust.state, OK if active else "")),
        line(Span(workers, WARN if short else "")),
        line(f"users {units.count(locust.users)}"),
        *past,
        line(f"{units.count(locust.rps)} req/s"),
        line(Span(f"failed {locust.fail_ratio * 100:.2f}%", ERROR if failing else "")),
        line(f"p95 {units.milliseconds(locust.p95_ms)}"),
        line(f"p50 {units.milliseconds(locust.p50_ms)}"),
        line(f"{units.count(locust.fail_per_second)} failures/s"),
    ]


def is_active(locust: Locust) -> bool:
    """Tell whether a run is under way, so that the master's rates are of this moment."""
    return locust.state in {"spawning", "running", "cleanup", "stopping"}


def _warnings_summary(alerts: Sequence[Warn]) -> Line:
    if not alerts:
        return line(Span("none", OK))
    errors = sum(1 for alert in alerts if alert.severity == "error")
    parts = [(errors, "error", ERROR), (len(alerts) - errors, "warning", WARN)]
    spans = [Span(f"{number} {word}{'' if number == 1 else 's'}", style) for number, word, style in parts if number]
    return join_fitting([(span,) for span in spans], ", ", 40)


def _warnings(alerts: Sequence[Warn], width: int) -> list[list[Line]]:
    """Draw each warning as one or more lines: the most important text is wrapped, never cut."""
    if not alerts:
        return [[line(Span("  all is well", OK))]]
    return [_wrapped(alert, width) for alert in alerts]


def _wrapped(alert: Warn, width: int) -> list[Line]:
    mark, style = ("✗ ", ERROR) if alert.severity == "error" else ("! ", WARN)
    rows = textwrap.wrap(clean(alert.text), max(_LEAST_WRAP, width - len(mark))) or [""]
    return [line(Span(mark if number == 0 else "  ", style), Span(row, style)) for number, row in enumerate(rows)]


def _as_many_as_fit(blocks: Sequence[list[Line]], room: int) -> Iterator[Line]:
    """Yield whole blocks, and say how many were left out."""
    total = sum(len(block) for block in blocks)
    left = room if total <= room else room - 1
    for number, block in enumerate(blocks):
        left -= len(block)
        if left < 0:
            yield line(Span(f"  … {len(blocks) - number} more", DIM))
            return
        yield from block


def _services(snapshot: Snapshot, width: int) -> Line:
    """Sum the services up for the heading: what is wrong first, then how many are well."""
    parts: list[Line] = []
    for service in snapshot.services:
        troubles = [
            (service.exited, "exited", ERROR),
            (service.restarting, "restarting", ERROR),
            (service.unhealthy, "unhealthy", ERROR),
        ]
        parts.extend(
            line(Span(f"{number} {service.service} {word}", style)) for number, word, style in troubles if number
        )
    running = sum(service.running for service in snapshot.services)
    healthy = sum(service.healthy for service in snapshot.services)
    parts.append(line(f"{running} running"))
    if healthy:
        parts.append(line(f"{healthy} healthy"))
    return join_fitting(parts, ", ", width)


def _logs(logs: Sequence[LogLine], room: int, zone: tzinfo | None) -> Iterator[Line]:
    for entry in logs[len(logs) - room :] if room else ():
        found = _LOCUST_LOG.match(entry.text)
        level, text = (found[1], f"{found[2]}: {found[3]}") if found else ("", entry.text)
        style = _LOG_STYLES.get(level, "")
        shown = f"{level} {text}" if level and level != "INFO" else text
        yield line(Span(f"{units.clock(entry.at, zone)} ", DIM), Span(shown, style))


def _stale_suffix(snapshot: Snapshot, now: datetime, zone: tzinfo | None) -> str:
    if not snapshot.stale:
        return ""
    age = data_age_seconds(snapshot, now)
    if age is None:
        return ""
    return f" as of {units.clock(snapshot.engine_read_at, zone)}, STALE"


def _dimmed(spans: Line) -> Line:
    """Take the life out of a line, so that old figures do not look like present ones; warnings keep their style."""
    return tuple(span if span.style in {WARN, ERROR, TITLE} else Span(span.text, DIM) for span in spans)
