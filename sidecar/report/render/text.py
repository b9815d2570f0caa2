"""What failed in a run, as plain text: `failure_analysis_report.txt`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FILE = "failure_analysis_report.txt"

_MOST_ENDPOINTS, _MOST_GROUPS, _MOST_STEPS = 10, 20, 120
_LONGEST = 110


def render(document: Mapping[str, Any]) -> str:
    """Return the text."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    figures, classes = document["figures"], document["failure_classes"]
    yield f"Failure analysis of run {document['run_id']}"
    yield f"{document['started_at']} to {document['ended_at']}, {document['verdict']}"
    yield f"{figures['failures']} of {figures['requests']} requests failed ({figures['fail_ratio']:.2%})"
    yield document["attribution"]["text"]
    yield from ("", "By class")
    total = sum(classes.values()) or 1
    for name, count in sorted(classes.items(), key=lambda row: -row[1]):
        yield f"  {name:<22} {count:>9}  {count / total:6.1%}"
    yield from ("", "Endpoints with the most failures")
    failing = sorted(
        (endpoint for endpoint in document["endpoints"] if endpoint["failures"]),
        key=lambda endpoint: -endpoint["failures"],
    )
    for endpoint in failing[:_MOST_ENDPOINTS]:
        title = f"{endpoint['method'] or ''} {endpoint['name']}"
        yield f"  {endpoint['failures']:>9}  {endpoint['fail_ratio']:6.1%} of its own  {title}"[:_LONGEST]
    yield from ("", "Groups")
    for group in document["failure_groups"][:_MOST_GROUPS]:
        title = f"{group['method']} {group['name']}  {group['class']} {group.get('detail') or ''}"
        yield f"  {group['count']:>9}  {title}"[:_LONGEST]
        yield f"             {group.get('message') or ''}"[:_LONGEST]
    line = document["timeline"]
    steps = [sum(column) for column in zip(*line["failures"].values(), strict=True)]
    yield from ("", f"Over time, in each {line['step_seconds']:g} s")
    shown = [(at, count) for at, count in zip(line["at"], steps, strict=False) if count]
    for at, count in shown[:_MOST_STEPS]:
        yield f"  {str(at)[11:19]}  {count:>9}"
    if len(shown) > _MOST_STEPS:
        yield f"  … and {len(shown) - _MOST_STEPS} more steps, in report.json"
