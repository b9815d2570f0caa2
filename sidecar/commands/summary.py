"""A run's figures for people and for programs, during the run and after it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.commands.follow import RunObserved, total
from sidecar.common.console import Console
from sidecar.common.units import elapsed, plural, whole_milliseconds
from sidecar.common.visible_text import visible
from sidecar.report.document import failure_rows

_MOST_ENDPOINTS = 30
_MOST_ERRORS, _MOST_AFTER = 5, 5
OTHERS = "(others)"
_HEADER = ("", "REQUESTS", "FAILED", "MEDIAN", "P95", "P99", "MAX", "REQ/S")
_TIMES = {
    "median": "median_response_time",
    "p95": "response_time_percentile_0.95",
    "p99": "response_time_percentile_0.99",
    "max": "max_response_time",
    "min": "min_response_time",
    "average": "avg_response_time",
}
_NARROWEST_NAME = 12
_LINE_SECONDS = 5.0


def figures(document: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return a master's figures over all requests, under names with their unit; `seconds` is the time under load."""
    return _figures(total(document), seconds)


def _figures(row: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    requests = int(row.get("num_requests") or 0)
    failures = int(row.get("num_failures") or 0)
    return {
        "requests": requests,
        "failures": failures,
        "fail_ratio": failures / requests if requests else 0.0,
        "requests_per_second": requests / seconds if seconds > 0 else 0.0,
        **{f"{name}_ms": row.get(key) for name, key in _TIMES.items()},
    }


def endpoints(document: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Return the same for each request name. Requests without a row of the master are in the row `(others)`."""
    rows = [row for row in document.get("stats") or [] if row.get("name") != "Aggregated"]
    named = [{"method": row.get("method"), "name": row.get("name"), **_figures(row, seconds)} for row in rows]
    whole = total(document)
    rest = {
        key: int(whole.get(key) or 0) - sum(int(row.get(key) or 0) for row in rows)
        for key in ("num_requests", "num_failures")
    }
    if rest["num_requests"] > 0:
        named.append({"method": "", "name": OTHERS, **_figures(rest, seconds)})
    return named


def errors(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each distinct failure, the most frequent first."""
    failures = [
        {**{key: row.get(key) for key in ("method", "name", "error")}, "occurrences": int(row.get("occurrences") or 0)}
        for row in document.get("errors") or []
    ]
    return sorted(failures, key=lambda failure: -failure["occurrences"])


def progress(seen: RunObserved, seconds: float, run_time: int) -> str:
    """Return one line of live progress. Its clock stops at `run_time`, even if the last figures come later."""
    seconds = min(seconds, run_time) if run_time else seconds
    if not seen.started:
        return f"{elapsed(seconds)}  starting …"
    if seen.stopping:
        return f"{elapsed(seconds)}  stopping: {seen.stopping}"
    document = seen.figures
    percentiles = document.get("current_response_time_percentiles") or {}
    p95 = whole_milliseconds(percentiles.get("response_time_percentile_0.95"))
    end = f" of {elapsed(run_time)}" if run_time else ""
    missing = f"  {len(seen.missing)} WORKERS MISSING" if seen.missing else ""
    return (
        f"{elapsed(seconds)}{end}  {plural(int(document.get('user_count') or 0), 'user')}  "
        f"{float(document.get('current_rps') or 0):.0f} req/s  p95 {p95}  "
        f"{seen.requests} requests  {seen.failures} failed{missing}"
    )


@dataclass
class Progress:
    """Shows a run in progress: one line that changes on a terminal, or a new line every 5 seconds elsewhere.

    `run_time` is in seconds; 0 means an unknown end.
    """

    console: Console
    run_time: int
    next_line: float = 0.0

    def show(self, seen: RunObserved, seconds: float) -> None:
        """Show the current observation, `seconds` after the start."""
        text = f"  {progress(seen, seconds, self.run_time)}"
        if self.console.is_terminal:
            width = shutil.get_terminal_size((100, 24)).columns
            self.console.rewrite(text[: width - 1])
        elif seconds >= self.next_line:
            self.next_line = seconds + _LINE_SECONDS
            self.console.line(text)

    def end(self) -> None:
        """Keep the last progress line."""
        self.console.rewrite()


def table(document: Mapping[str, Any], width: int) -> list[str]:
    """Return the table of a report, at most `width` columns wide if names still fit."""
    named = [row for row in document["endpoints"] if row["name"] != OTHERS]
    ranked = sorted(named, key=lambda row: -row["requests"])
    after = (document.get("after_the_end") or {}).get("endpoints") or []
    cells = [
        _HEADER,
        *(_cells(f"{row['method'] or ''} {row['name']}".strip(" "), row) for row in ranked[:_MOST_ENDPOINTS]),
        *_more(ranked[_MOST_ENDPOINTS:], [row for row in document["endpoints"] if row["name"] == OTHERS]),
        _cells("all", document["figures"]),
        *(_cells(f"after the end: {row['method'] or ''} {row['name']}", row) for row in after[:_MOST_AFTER]),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    names = max(_NARROWEST_NAME, min(widths[0], width - sum(widths[1:]) - 2 * len(widths[1:])))
    return [
        "  ".join((_cut(line[0], names), *(cell.rjust(size) for cell, size in zip(line[1:], widths[1:], strict=True))))
        for line in cells
    ]


def _more(unshown: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield one row for all names without a row of their own."""
    rows = [*unshown, *others]
    if not rows:
        return
    requests, failures = (sum(int(row[key]) for row in rows) for key in ("requests", "failures"))
    rate = sum(float(row["requests_per_second"]) for row in rows)
    names = len(unshown) + sum(int(row.get("names") or 0) for row in others)
    figures = {"requests": requests, "failures": failures, "requests_per_second": rate}
    more = plural(names, "more name", ",") if names else "more names"
    yield _cells(f"… and {more}", {**figures, "fail_ratio": failures / requests})


def _cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        visible(name),
        str(row["requests"]),
        f"{row['failures']} ({row['fail_ratio']:.1%})" if row["failures"] else "0",
        *(whole_milliseconds(row.get(f"{name}_ms")) for name in ("median", "p95", "p99", "max")),
        "–" if row.get("requests_per_second") is None else f"{row['requests_per_second']:.{_decimals(row)}f}",
    )


def _decimals(row: Mapping[str, Any]) -> int:
    return 1 if row["requests_per_second"] >= 1 else 2


def failure_lines(document: Mapping[str, Any], width: int) -> list[str]:
    """Return the largest groups of failures of a report, one line each."""
    rows = failure_rows(document)
    lines = [f"{row['count']} × {row['request']} ({row['share']:.1%}): {row['text']}" for row in rows[:_MOST_ERRORS]]
    if (more := len(rows) - len(lines) + int(document.get("failure_groups_left_out") or 0)) > 0:
        shown = sum(row["share"] for row in rows[:_MOST_ERRORS])
        lines.append(f"… and {plural(more, 'more group', ',')}; the groups above have {shown:.1%} of the failures")
    return [_cut(visible(line), width).rstrip() for line in lines]


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: max(1, width - 1)] + "…"


def users_taken_along(seen: RunObserved, wanted: int) -> str:
    """Return a warning if workers that left took users with them; "" if all users were there to the end.

    Locust distributes the users again when a worker joins, but not when a worker leaves.
    """
    if not seen.left or not 0 < seen.users < wanted:
        return ""
    return (
        f"warning: {plural(len(seen.left), 'worker')} left during the run and took users with them: "
        f"{seen.users} of {wanted} users were running at the end"
    )
